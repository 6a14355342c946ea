using Orleans.Placement;
using Orleans.Runtime;
using Orleans.Runtime.Placement;

namespace Arus.Grains;

/// <summary>Places a partition on the broker that its topic assigns it to.</summary>
[Serializable, GenerateSerializer, Immutable, SuppressReferenceTracking]
internal sealed class PartitionPlacement : PlacementStrategy;

[AttributeUsage(AttributeTargets.Class)]
internal sealed class PartitionPlacementAttribute() : PlacementAttribute(new PartitionPlacement());

/// <summary>
/// Finds the broker of a partition. Where it is not alive, or there is no such partition, the grain is activated here instead: to reject
/// calls with the right error code, since the log is with its broker, or, with logs that all brokers share, to lead.
/// </summary>
internal sealed class PartitionPlacementDirector(IGrainFactory grains, BrokerMembership membership) : IPlacementDirector
{
    public async Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        (string topic, int partition) = PartitionKey.Parse(target.GrainIdentity.Key.ToString()!);
        int broker = await grains.GetGrain<ITopicGrain>(topic).LocateAsync(partition);
        SiloAddress[] compatible = context.GetCompatibleSilos(target);
        return membership.TryGetSilo(broker, out SiloAddress silo) && compatible.Contains(silo) ? silo
            : compatible.Contains(context.LocalSilo) ? context.LocalSilo
            : compatible[0];
    }
}
