using Arus.Grains;

namespace Arus.Kafka;

/// <summary>A broker as the clients of one listener see it.</summary>
internal sealed record Node(int Id, string Host, int Port, string? Rack);

/// <summary>
/// The cluster as the clients of one listener see it: a broker that lacks the listener cannot be reached by them. Immutable.
/// </summary>
/// <param name="Nodes">What clients are told.</param>
/// <param name="Behind">
/// The live brokers behind the one address that clients know (<c>arus.advertised.single.address</c>); null where each has its own.
/// </param>
internal sealed record ClusterView(string ClusterId, int ControllerId, Node[] Nodes, Node[]? Behind = null)
{
    /// <summary>
    /// The number that clients know of all brokers behind one address. It is the same whoever lives, since clients drop connections and
    /// positions when a number comes or goes; and there is one only, since clients may take one address for one broker.
    /// </summary>
    public const int SingleId = 1;

    public static ClusterView Empty { get; } = new("", -1, []);

    /// <summary>The address of this broker is that of all.</summary>
    public bool IsSingleAddress => Behind is not null;

    public static ClusterView Of(ClusterDescription cluster, string listener)
    {
        IEnumerable<Node> nodes =
            from broker in cluster.Brokers
            from endpoint in broker.Endpoints
            where endpoint.Listener.Equals(listener, StringComparison.OrdinalIgnoreCase)
            select new Node(broker.BrokerId, endpoint.Host, endpoint.Port, broker.Rack);
        return new ClusterView(cluster.ClusterId, cluster.ControllerId, [.. nodes]);
    }

    /// <summary>The cluster as clients see it that know one address for all brokers: as one broker, which leads and keeps all.</summary>
    public ClusterView At(BrokerEndpoint address) =>
        new(ClusterId, SingleId, [new Node(SingleId, address.Host, address.Port, Rack: null)], Nodes);

    /// <summary>What clients know of the broker of that id if it is alive and can be reached; null otherwise.</summary>
    public Node? Find(int brokerId) =>
        Behind is null ? Array.Find(Nodes, node => node.Id == brokerId) : FindBehind(brokerId) is null ? null : Nodes[0];

    /// <summary>The rack of a live broker; null if it is not alive, and empty if it has none.</summary>
    public string? RackOf(int brokerId) => FindBehind(brokerId) is { } broker ? broker.Rack ?? "" : null;

    public bool IsSame(ClusterView other) => ReferenceEquals(this, other)
        || (ClusterId == other.ClusterId && ControllerId == other.ControllerId && Nodes.AsSpan().SequenceEqual(other.Nodes)
            && (Behind ?? []).AsSpan().SequenceEqual(other.Behind ?? []));

    /// <summary>The broker that leads a partition, or -1 and the error to answer when its leader cannot be reached.</summary>
    public (int Leader, ErrorCode Error) LeaderOf(PartitionAssignment partition) =>
        Find(partition.Leader) is { } leader ? (leader.Id, ErrorCode.None) : (-1, ErrorCode.LeaderNotAvailable);

    /// <summary>What clients know of brokers that keep a partition, each once.</summary>
    public int[] Announce(int[]? replicas) => replicas is null or [] ? [] : IsSingleAddress ? [SingleId] : replicas;

    /// <summary>Those of the replicas that cannot be reached; behind one address, all or none.</summary>
    public int[] Offline(int[] replicas)
    {
        int[] away = Array.TrueForAll(replicas, id => Find(id) is not null) ? [] : Array.FindAll(replicas, id => Find(id) is null);
        return IsSingleAddress ? Announce(away.Length == replicas.Length ? replicas : []) : away;
    }

    private Node? FindBehind(int brokerId) => Array.Find(Behind ?? Nodes, node => node.Id == brokerId);
}
