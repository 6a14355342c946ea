namespace Arus.Client;

/// <summary>Kafka's assignors.</summary>
public static class PartitionAssignors
{
    /// <summary>Per topic, neighbouring partitions to neighbouring members: one index gets the same partitions of every topic.</summary>
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

/// <summary>What Kafka's assignors have in common.</summary>
internal abstract class BuiltInAssignor(string name, RebalanceProtocol protocol = RebalanceProtocol.Eager) : IPartitionAssignor
{
    public string Name => name;

    public RebalanceProtocol Protocol => protocol;

    public virtual ReadOnlyMemory<byte> GetUserData(
        IReadOnlyCollection<string> topics, IReadOnlyCollection<TopicPartition> owned, int generation) => default;

    public IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> Assign(
        IReadOnlyDictionary<string, int> partitionCounts, IReadOnlyList<MemberSubscription> members)
    {
        var plan = new AssignmentPlan(partitionCounts, members);
        Fill(plan);
        return plan.Result;
    }

    protected abstract void Fill(AssignmentPlan plan);
}

internal sealed class RangeAssignor() : BuiltInAssignor("range")
{
    protected override void Fill(AssignmentPlan plan)
    {
        foreach (string topic in plan.Topics)
        {
            IReadOnlyList<string> subscribers = plan.SubscribersOf(topic);
            (int each, int rest) = Math.DivRem(plan.PartitionCounts[topic], subscribers.Count);
            int partition = 0;
            for (int i = 0; i < subscribers.Count; i++)
            {
                for (int end = partition + each + (i < rest ? 1 : 0); partition < end; partition++)
                    plan.Give(subscribers[i], new TopicPartition(topic, partition));
            }
        }
    }
}

internal sealed class RoundRobinAssignor() : BuiltInAssignor("roundrobin")
{
    protected override void Fill(AssignmentPlan plan)
    {
        int next = 0;
        foreach (TopicPartition partition in plan.Topics.SelectMany(plan.PartitionsOf))
        {
            while (!plan.IsSubscribed(plan.Members[next], partition.Topic))
                next = (next + 1) % plan.Members.Count;

            plan.Give(plan.Members[next], partition);
            next = (next + 1) % plan.Members.Count;
        }
    }
}

/// <summary>The state of an assignment: members and topics in Kafka's order, and the partitions given so far.</summary>
internal sealed class AssignmentPlan
{
    private readonly Dictionary<string, HashSet<string>> _topicsOf;
    private readonly Dictionary<string, string[]> _subscribersOf;
    private readonly Dictionary<string, List<TopicPartition>> _given;

    public AssignmentPlan(IReadOnlyDictionary<string, int> partitionCounts, IReadOnlyList<MemberSubscription> members)
    {
        PartitionCounts = partitionCounts;
        Subscriptions = members;

        // Static members first, by their instance ids, so that a restart does not change the order.
        Members = [.. members.OrderBy(member => member.GroupInstanceId is null)
            .ThenBy(member => member.GroupInstanceId ?? member.MemberId, StringComparer.Ordinal)
            .Select(member => member.MemberId)];
        _topicsOf = members.ToDictionary(
            member => member.MemberId, member => member.Subscription.Topics.Where(partitionCounts.ContainsKey).ToHashSet());
        _given = members.ToDictionary(member => member.MemberId, _ => new List<TopicPartition>());
        _subscribersOf = Members.SelectMany(member => _topicsOf[member], (member, topic) => (member, topic))
            .GroupBy(entry => entry.topic, entry => entry.member).ToDictionary(topic => topic.Key, topic => topic.ToArray());
        Topics = [.. _subscribersOf.Keys.Order(StringComparer.Ordinal)];
    }

    public IReadOnlyDictionary<string, int> PartitionCounts { get; }

    public IReadOnlyList<MemberSubscription> Subscriptions { get; }

    public IReadOnlyList<string> Members { get; }

    /// <summary>The existing topics that have a subscriber.</summary>
    public IReadOnlyList<string> Topics { get; }

    public IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> Result =>
        _given.ToDictionary(entry => entry.Key, entry => (IReadOnlyList<TopicPartition>)entry.Value, StringComparer.Ordinal);

    public IEnumerable<TopicPartition> PartitionsOf(string topic) =>
        ConsumerProtocol.Of(topic, Enumerable.Range(0, PartitionCounts[topic]));

    public IReadOnlyList<string> SubscribersOf(string topic) => _subscribersOf[topic];

    public bool IsSubscribed(string member, string topic) => _topicsOf[member].Contains(topic);

    public void Give(string member, TopicPartition partition) => _given[member].Add(partition);
}
