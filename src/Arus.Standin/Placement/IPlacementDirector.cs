namespace Orleans.Runtime.Placement;

/// <summary>Chooses the silo of a new activation. One instance serves all threads of a silo.</summary>
public interface IPlacementDirector
{
    /// <summary>The request-context key under which a caller names the silo it would like.</summary>
    const string PlacementHintKey = nameof(PlacementHintKey);

    /// <summary>
    /// The silo for a new activation of the target. An exception goes to the callers that wait for the activation.
    /// </summary>
    Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context);

    static SiloAddress? GetPlacementHint(Dictionary<string, object>? requestContextData, SiloAddress[] compatibleSilos) =>
        requestContextData?.GetValueOrDefault(PlacementHintKey) is SiloAddress hint && compatibleSilos.Contains(hint) ? hint : null;
}

public interface IPlacementContext
{
    SiloAddress LocalSilo { get; }

    SiloStatus LocalSiloStatus { get; }

    /// <summary>The active silos that can host the grain.</summary>
    SiloAddress[] GetCompatibleSilos(PlacementTarget target);
}

/// <summary>The grain that needs an activation.</summary>
public readonly struct PlacementTarget(
    GrainId grainIdentity, Dictionary<string, object> requestContextData, GrainInterfaceType interfaceType, ushort interfaceVersion)
{
    public GrainId GrainIdentity { get; } = grainIdentity;

    public GrainInterfaceType InterfaceType { get; } = interfaceType;

    public ushort InterfaceVersion { get; } = interfaceVersion;

    public Dictionary<string, object> RequestContextData { get; } = requestContextData;
}
