namespace Orleans.Runtime;

/// <summary>What the part of the directory on one silo does for the others.</summary>
internal interface IDirectoryService : IAddressable
{
    /// <summary>Enters an activation, unless another is entered; answers the one that is.</summary>
    [Alias("register")]
    Task<DirectoryAnswer> RegisterAsync(GrainAddress address);

    [Alias("lookup")]
    Task<DirectoryAnswer> LookupAsync(GrainId grainId);

    [Alias("unregister")]
    Task<DirectoryAnswer> UnregisterAsync(GrainAddress address);

    /// <summary>The activations of the silo asked that <paramref name="owner"/> keeps when the directory is spread over <paramref name="silos"/>.</summary>
    [Alias("recover")]
    Task<GrainAddress[]> GetActivationsAsync(SiloAddress owner, SiloAddress[] silos);
}

/// <param name="IsOwner">False if the silo asked does not keep this part of the directory, as it sees the cluster.</param>
/// <param name="Version">Of its view of the cluster.</param>
[GenerateSerializer, Immutable, Alias("standin.DirectoryAnswer")]
internal sealed record DirectoryAnswer(bool IsOwner, long Version, GrainAddress? Address);
