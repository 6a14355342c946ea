namespace Orleans.Runtime;

/// <summary>Base of the generated references to grains and observers. Immutable; safe for concurrent use.</summary>
public abstract class GrainReference : IAddressable, IEquatable<GrainReference>
{
    private protected GrainReference(GrainId grainId)
    {
        GrainId = grainId;
    }

    public GrainId GrainId { get; }

    internal abstract IReferenceRuntime Runtime { get; }

    public bool Equals(GrainReference? other) => other is not null && GrainId == other.GrainId;

    public override bool Equals(object? obj) => Equals(obj as GrainReference);

    public override int GetHashCode() => GrainId.GetHashCode();

    public sealed override string ToString() => $"GrainReference:{GrainId}";
}
