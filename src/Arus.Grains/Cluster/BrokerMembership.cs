using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>Which brokers are alive, as this silo sees the cluster membership. Safe for use by any thread.</summary>
internal sealed class BrokerMembership(IClusterMembershipService membership)
{
    private volatile View? _view;

    /// <summary>Changes whenever the set of live brokers may have changed.</summary>
    public object Token => Current();

    /// <summary>The ids of the live brokers, ascending.</summary>
    public IReadOnlyList<int> Alive => Current().Ids;

    /// <summary>The live brokers, each with the number of its present life, which grows with every start.</summary>
    public IReadOnlyDictionary<int, long> Lives => Current().Silos.ToDictionary(silo => silo.Key, silo => (long)silo.Value.Generation);

    /// <summary>The membership as it is known now.</summary>
    public ClusterMembershipSnapshot Snapshot => membership.CurrentSnapshot;

    /// <summary>Yields when the membership has changed.</summary>
    public IAsyncEnumerable<ClusterMembershipSnapshot> Updates => membership.MembershipUpdates;

    /// <summary>Reads the membership from where it is durable.</summary>
    public ValueTask RefreshAsync(CancellationToken cancellationToken) => membership.Refresh(default, cancellationToken);

    public bool IsAlive(int brokerId) => Current().Silos.ContainsKey(brokerId);

    public bool TryGetSilo(int brokerId, out SiloAddress silo) => Current().Silos.TryGetValue(brokerId, out silo!);

    /// <summary>How many live silos bear a broker's name; two by a mistake in configuration, or a restart not yet noticed.</summary>
    public int CountAlive(int brokerId)
    {
        string name = BrokerNames.SiloName(brokerId);
        return membership.CurrentSnapshot.Members.Values.Count(member => member.Status == SiloStatus.Active && member.Name == name);
    }

    private View Current()
    {
        ClusterMembershipSnapshot snapshot = membership.CurrentSnapshot;
        View? view = _view;
        if (view is not null && ReferenceEquals(view.Snapshot, snapshot))
            return view;

        var silos = new Dictionary<int, SiloAddress>();
        foreach (ClusterMember member in snapshot.Members.Values)
        {
            if (member.Status == SiloStatus.Active
                && BrokerNames.TryParse(member.Name, out int brokerId)
                && (!silos.TryGetValue(brokerId, out SiloAddress? other) || other.Generation < member.SiloAddress.Generation))
            {
                silos[brokerId] = member.SiloAddress;
            }
        }

        return _view = new View(snapshot, silos, [.. silos.Keys.Order()]);
    }

    private sealed record View(ClusterMembershipSnapshot Snapshot, Dictionary<int, SiloAddress> Silos, int[] Ids);
}
