namespace Arus.Protocol;

/// <summary>Every API that this library reads and writes; each is a property by its name.</summary>
public static partial class ApiCatalog
{
    private static readonly ApiDescriptor?[] ByKey;

    /// <summary>Runs after the initializers of the generated part, whatever the order of the files.</summary>
    static ApiCatalog()
    {
        All = Defined();
        ByKey = new ApiDescriptor?[(int)All[^1].Key + 1];
        foreach (ApiDescriptor api in All)
            ByKey[(int)api.Key] = api;
    }

    /// <summary>In the order of their keys.</summary>
    public static IReadOnlyList<ApiDescriptor> All { get; }

    /// <summary>The API of a key as it came over the wire; null if it is not known.</summary>
    public static ApiDescriptor? Find(ApiKey key) => (uint)key < (uint)ByKey.Length ? ByKey[(int)key] : null;
}
