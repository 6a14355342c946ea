using Orleans.Placement;
using Orleans.Runtime;
using Orleans.Runtime.Placement;

namespace Arus.Grains;

/// <summary>Places a grain on the broker whose id is its key.</summary>
[Serializable, GenerateSerializer, Immutable, SuppressReferenceTracking]
internal sealed class BrokerPlacement : PlacementStrategy
{
    internal static BrokerPlacement Singleton { get; } = new();
}

[AttributeUsage(AttributeTargets.Class)]
internal sealed class BrokerPlacementAttribute() : PlacementAttribute(BrokerPlacement.Singleton);

/// <summary>Where the broker is not alive, the grain is activated here instead, to say so.</summary>
internal sealed class BrokerPlacementDirector(BrokerMembership membership) : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        SiloAddress[] compatible = context.GetCompatibleSilos(target);
        return Task.FromResult(
            target.GrainIdentity.TryGetIntegerKey(out long broker, out _) && membership.TryGetSilo((int)broker, out SiloAddress silo)
            && compatible.Contains(silo) ? silo
            : compatible.Contains(context.LocalSilo) ? context.LocalSilo
            : compatible[0]);
    }
}
