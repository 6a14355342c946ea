using Arus.Coordination.Replication;
using Orleans.GrainDirectory;
using Orleans.Placement;
using Orleans.Runtime;
using Orleans.Runtime.Placement;

namespace Arus.Grains;

/// <summary>
/// The grain directory of partitions in a cluster: a partition's grain is where its leader is, as the image says, so no entry is kept
/// anywhere that could be lost with a silo. While there is no leader an activation anywhere is accepted, to answer with the reason; as soon
/// as there is one, an activation elsewhere is answered with the leader's address, so that Orleans forwards its calls and corrects caches.
/// </summary>
internal sealed class PartitionDirectory(PartitionImage image, BrokerMembership membership) : IGrainDirectory
{
    public const string Name = "arus";

    /// <inheritdoc/>
    public Task<GrainAddress?> Lookup(GrainId grainId) => Task.FromResult(Find(grainId));

    /// <inheritdoc/>
    public Task<GrainAddress?> Register(GrainAddress address) => Task.FromResult<GrainAddress?>(
        Find(address.GrainId) is { } leader && !leader.SiloAddress!.Equals(address.SiloAddress) ? leader : address);

    /// <inheritdoc/>
    public Task<GrainAddress?> Register(GrainAddress address, GrainAddress? previousAddress) => Register(address);

    /// <inheritdoc/>
    public Task Unregister(GrainAddress address) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task UnregisterSilos(List<SiloAddress> siloAddresses) => Task.CompletedTask;

    private GrainAddress? Find(GrainId grain)
    {
        (string topic, int partition) = PartitionKey.Parse(grain.Key.ToString()!);
        return image.Find(topic, partition) is { Leader: >= 0 } state && membership.TryGetSilo(state.Leader, out SiloAddress silo)
            ? new GrainAddress { GrainId = grain, ActivationId = ActivationId.NewId(), SiloAddress = silo }
            : null;
    }
}

/// <summary>Where a partition without a leader is placed: here, since nothing is served.</summary>
[Serializable, GenerateSerializer, Immutable, SuppressReferenceTracking]
internal sealed class ReplicaPlacement : PlacementStrategy;

[AttributeUsage(AttributeTargets.Class)]
internal sealed class ReplicaPlacementAttribute() : PlacementAttribute(new ReplicaPlacement());

/// <inheritdoc cref="ReplicaPlacement"/>
internal sealed class ReplicaPlacementDirector : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        SiloAddress[] compatible = context.GetCompatibleSilos(target);
        return Task.FromResult(compatible.Contains(context.LocalSilo) ? context.LocalSilo : compatible[0]);
    }
}
