using Arus.Grains;

namespace Arus.Kafka;

/// <summary>A broker as the clients of one listener see it.</summary>
internal sealed record Node(int Id, string Host, int Port, string? Rack);

/// <summary>
/// The cluster as the clients of one listener see it: a broker that lacks the listener cannot be reached by them. Immutable.
/// </summary>
internal sealed record ClusterView(string ClusterId, int ControllerId, Node[] Nodes)
{
    public static ClusterView Empty { get; } = new("", -1, []);

    public static ClusterView Of(ClusterDescription cluster, string listener)
    {
        IEnumerable<Node> nodes =
            from broker in cluster.Brokers
            from endpoint in broker.Endpoints
            where endpoint.Listener.Equals(listener, StringComparison.OrdinalIgnoreCase)
            select new Node(broker.BrokerId, endpoint.Host, endpoint.Port, broker.Rack);
        return new ClusterView(cluster.ClusterId, cluster.ControllerId, [.. nodes]);
    }

    /// <summary>The broker of that id if it is alive and can be reached; null otherwise.</summary>
    public Node? Find(int brokerId) => Array.Find(Nodes, node => node.Id == brokerId);

    public bool IsSame(ClusterView other) => ReferenceEquals(this, other)
        || (ClusterId == other.ClusterId && ControllerId == other.ControllerId && Nodes.AsSpan().SequenceEqual(other.Nodes));

    /// <summary>The broker that leads a partition, or -1 and the error to answer when its leader cannot be reached.</summary>
    public (int Leader, ErrorCode Error) LeaderOf(PartitionAssignment partition) =>
        Find(partition.Leader) is not null ? (partition.Leader, ErrorCode.None) : (-1, ErrorCode.LeaderNotAvailable);

    public int[] Offline(int[] replicas) =>
        Array.TrueForAll(replicas, id => Find(id) is not null) ? [] : Array.FindAll(replicas, id => Find(id) is null);
}
