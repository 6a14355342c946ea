namespace Arus.Client;

/// <summary>Kafka's assignors.</summary>
public static class PartitionAssignors
{
    /// <summary>
    /// Per topic, neighbouring partitions to neighbouring members. Members of the same index get the same partitions of every topic.
    /// </summary>
    public static IPartitionAssignor Range { get; } = new RangeAssignor();

    /// <summary>All partitions in turn to all members.</summary>
    public static IPartitionAssignor RoundRobin { get; } = new RoundRobinAssignor();

    /// <summary>Balanced, with as few moves as that allows; members revoke all partitions before a rebalance.</summary>
    public static IPartitionAssignor Sticky { get; } = new StickyAssignor();

    /// <summary>Balanced, with as few moves as that allows; what does not move is consumed during the rebalance (KIP-429).</summary>
    public static IPartitionAssignor CooperativeSticky { get; } = new CooperativeStickyAssignor();

    /// <summary>Kafka's default: eager with <c>range</c>, and ready for a rolling change to <c>cooperative-sticky</c>.</summary>
    public static IReadOnlyList<IPartitionAssignor> Default { get; } = [Range, CooperativeSticky];

    /// <summary>The assignor of that name, or null.</summary>
    public static IPartitionAssignor? Find(string name) =>
        new[] { Range, RoundRobin, Sticky, CooperativeSticky }.FirstOrDefault(assignor => assignor.Name == name);
}

internal sealed class RangeAssignor : IPartitionAssignor
{
    public string Name => "range";

    public RebalanceProtocol Protocol => RebalanceProtocol.Eager;

    public ReadOnlyMemory<byte> GetUserData(
        IReadOnlyCollection<string> topics, IReadOnlyCollection<TopicPartition> owned, int generation) => default;

    public IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> Assign(
        IReadOnlyDictionary<string, int> partitionCounts, IReadOnlyList<MemberSubscription> members)
    {
        var plan = new AssignmentPlan(partitionCounts, members);
        foreach (string topic in plan.Topics)
        {
            IReadOnlyList<string> subscribers = plan.SubscribersOf(topic);
            int partition = 0;
            for (int i = 0; i < subscribers.Count; i++)
            {
                int share = (partitionCounts[topic] / subscribers.Count) + (i < partitionCounts[topic] % subscribers.Count ? 1 : 0);
                for (int end = partition + share; partition < end; partition++)
                    plan.Give(subscribers[i], new TopicPartition(topic, partition));
            }
        }

        return plan.Result;
    }
}

internal sealed class RoundRobinAssignor : IPartitionAssignor
{
    public string Name => "roundrobin";

    public RebalanceProtocol Protocol => RebalanceProtocol.Eager;

    public ReadOnlyMemory<byte> GetUserData(
        IReadOnlyCollection<string> topics, IReadOnlyCollection<TopicPartition> owned, int generation) => default;

    public IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> Assign(
        IReadOnlyDictionary<string, int> partitionCounts, IReadOnlyList<MemberSubscription> members)
    {
        var plan = new AssignmentPlan(partitionCounts, members);
        int next = 0;
        foreach (string topic in plan.Topics)
        {
            for (int partition = 0; partition < partitionCounts[topic]; partition++)
            {
                while (!plan.IsSubscribed(plan.Members[next], topic))
                    next = (next + 1) % plan.Members.Count;

                plan.Give(plan.Members[next], new TopicPartition(topic, partition));
                next = (next + 1) % plan.Members.Count;
            }
        }

        return plan.Result;
    }
}

/// <summary>The state of an assignment: members and topics in Kafka's order, and the partitions given so far.</summary>
internal sealed class AssignmentPlan
{
    private readonly Dictionary<string, HashSet<string>> _topicsOf = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<string>> _subscribersOf = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<TopicPartition>> _given = new(StringComparer.Ordinal);

    public AssignmentPlan(IReadOnlyDictionary<string, int> partitionCounts, IReadOnlyList<MemberSubscription> members)
    {
        // Static members first, by their instance ids, so that a restart does not change the order.
        Members = [.. members.OrderBy(member => member.GroupInstanceId is null)
            .ThenBy(member => member.GroupInstanceId ?? member.MemberId, StringComparer.Ordinal)
            .Select(member => member.MemberId)];
        foreach (MemberSubscription member in members)
        {
            _topicsOf.Add(member.MemberId, [.. member.Subscription.Topics.Where(partitionCounts.ContainsKey)]);
            _given.Add(member.MemberId, []);
        }

        foreach (string member in Members)
        {
            foreach (string topic in _topicsOf[member])
            {
                if (!_subscribersOf.TryGetValue(topic, out List<string>? subscribers))
                    _subscribersOf.Add(topic, subscribers = []);

                subscribers.Add(member);
            }
        }

        Topics = [.. _subscribersOf.Keys.Order(StringComparer.Ordinal)];
    }

    public IReadOnlyList<string> Members { get; }

    /// <summary>The existing topics that have a subscriber.</summary>
    public IReadOnlyList<string> Topics { get; }

    public IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> Result =>
        _given.ToDictionary(entry => entry.Key, entry => (IReadOnlyList<TopicPartition>)entry.Value, StringComparer.Ordinal);

    public IReadOnlyList<string> SubscribersOf(string topic) => _subscribersOf[topic];

    public bool IsSubscribed(string member, string topic) => _topicsOf[member].Contains(topic);

    public void Give(string member, TopicPartition partition) => _given[member].Add(partition);
}
