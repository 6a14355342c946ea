namespace Orleans;

/// <summary>Keys and references of grains.</summary>
public static class GrainExtensions
{
    public static GrainId GetGrainId(this IAddressable grain) => grain switch
    {
        GrainReference reference => reference.GrainId,
        IGrainBase { GrainContext: { } context } => context.GrainId,
        _ => throw new ArgumentException($"{grain.GetType()} is neither a grain reference nor a grain of this runtime.", nameof(grain)),
    };

    public static string GetPrimaryKeyString(this IAddressable grain) => grain.GetGrainId().Key.ToString();

    public static long GetPrimaryKeyLong(this IAddressable grain) => grain.GetGrainId().GetIntegerKey();

    public static long GetPrimaryKeyLong(this IAddressable grain, out string? keyExt) => grain.GetGrainId().GetIntegerKey(out keyExt);

    public static Guid GetPrimaryKey(this IAddressable grain) => grain.GetGrainId().GetGuidKey();

    public static Guid GetPrimaryKey(this IAddressable grain, out string? keyExt) => grain.GetGrainId().GetGuidKey(out keyExt);

    /// <summary>A reference that can be passed to others.</summary>
    public static TGrainInterface AsReference<TGrainInterface>(this IAddressable grain) => (TGrainInterface)grain.AsReference(typeof(TGrainInterface));

    public static object AsReference(this IAddressable grain, Type interfaceType) => grain switch
    {
        GrainReference reference => reference.Runtime.GetReference(reference.GrainId, interfaceType),
        IGrainBase { GrainContext: Activation activation } => activation.Runtime.GetReference(activation.GrainId, interfaceType),
        _ => throw new ArgumentException($"{grain.GetType()} is neither a grain reference nor a grain of this runtime.", nameof(grain)),
    };

    public static TGrainInterface Cast<TGrainInterface>(this IAddressable grain) => grain.AsReference<TGrainInterface>();

    public static object Cast(this IAddressable grain, Type interfaceType) => grain.AsReference(interfaceType);
}
