using Arus.Protocol;

namespace Arus.Client;

/// <summary>
/// Kafka's <c>sticky</c> (KIP-54). A member tells the leader in its user data what it owned and in which generation; formats 0 (without
/// the generation) and 1 are read, 1 is written.
/// </summary>
internal sealed class StickyAssignor : IPartitionAssignor
{
    public string Name => "sticky";

    public RebalanceProtocol Protocol => RebalanceProtocol.Eager;

    public ReadOnlyMemory<byte> GetUserData(IReadOnlyCollection<string> topics, IReadOnlyCollection<TopicPartition> owned, int generation)
    {
        if (owned.Count == 0)
            return default;

        var data = new StickyAssignorUserData
        {
            PreviousAssignment =
            [
                .. ConsumerProtocol.ByTopic(owned)
                    .Select(topic => new StickyAssignorUserData.PreviousTopic { Topic = topic.Topic, Partitions = topic.Partitions }),
            ],
            Generation = generation,
        };
        return DataMessages.Write(data, version: 1);
    }

    public IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> Assign(
        IReadOnlyDictionary<string, int> partitionCounts, IReadOnlyList<MemberSubscription> members) =>
        StickyPlan.Assign(partitionCounts, members, ClaimOf);

    /// <summary>The partitions a member says it owned. Unreadable user data costs stickiness, and does not fail the rebalance.</summary>
    private static StickyClaim ClaimOf(ConsumerSubscription subscription)
    {
        if (subscription.UserData.IsEmpty)
            return new StickyClaim(subscription.Owned, subscription.Generation);

        // Version 0 is the same without what ends version 1.
        return TryRead(subscription.UserData, version: 1) ?? TryRead(subscription.UserData, version: 0) ?? new StickyClaim([], -1);
    }

    private static StickyClaim? TryRead(ReadOnlyMemory<byte> userData, short version)
    {
        try
        {
            var reader = new WireReader(userData);
            StickyAssignorUserData data = StickyAssignorUserData.Read(ref reader, version);
            return new StickyClaim(
                [.. data.PreviousAssignment.SelectMany(topic => ConsumerProtocol.Of(topic.Topic, topic.Partitions))], data.Generation);
        }
        catch (ProtocolException)
        {
            return null;
        }
    }
}

/// <summary>
/// Kafka's <c>cooperative-sticky</c> (KIP-429): a partition that moves is assigned to no member in the first rebalance. Its owner
/// revokes it and joins again, and the second rebalance assigns it.
/// </summary>
internal sealed class CooperativeStickyAssignor : IPartitionAssignor
{
    public string Name => "cooperative-sticky";

    public RebalanceProtocol Protocol => RebalanceProtocol.Cooperative;

    /// <summary>The generation alone: leaders of before subscription version 2 look for it here.</summary>
    public ReadOnlyMemory<byte> GetUserData(
        IReadOnlyCollection<string> topics, IReadOnlyCollection<TopicPartition> owned, int generation) =>
        DataMessages.Write(new CooperativeStickyAssignorUserData { Generation = generation }, version: 0);

    public IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> Assign(
        IReadOnlyDictionary<string, int> partitionCounts, IReadOnlyList<MemberSubscription> members)
    {
        IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> balanced = StickyPlan.Assign(partitionCounts, members, ClaimOf);

        // Claims of every generation count here: a member that is behind may still read what it claims.
        var claimants = new Dictionary<TopicPartition, HashSet<string>>();
        foreach (MemberSubscription member in members)
        {
            foreach (TopicPartition partition in member.Subscription.Owned)
            {
                if (!claimants.TryGetValue(partition, out HashSet<string>? claiming))
                    claimants.Add(partition, claiming = new HashSet<string>(StringComparer.Ordinal));

                claiming.Add(member.MemberId);
            }
        }

        return balanced.ToDictionary(
            entry => entry.Key,
            entry => (IReadOnlyList<TopicPartition>)[.. entry.Value.Where(partition =>
                !claimants.TryGetValue(partition, out HashSet<string>? claiming) || (claiming.Count == 1 && claiming.Contains(entry.Key)))],
            StringComparer.Ordinal);
    }

    private static StickyClaim ClaimOf(ConsumerSubscription subscription)
    {
        int generation = subscription.Generation;
        if (generation < 0 && subscription.UserData.Length == 4)
            generation = DataMessages.Read<CooperativeStickyAssignorUserData>(subscription.UserData, version: 0).Generation;

        return new StickyClaim(subscription.Owned, generation);
    }
}

/// <summary>What a member owned.</summary>
internal readonly record struct StickyClaim(IReadOnlyList<TopicPartition> Owned, int Generation);

/// <summary>
/// Balance with the fewest moves: every member keeps what it owned, free partitions go to the members with the fewest, and then single
/// partitions move between members whose counts differ by two or more, until there are none.
/// </summary>
internal static class StickyPlan
{
    public static IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> Assign(
        IReadOnlyDictionary<string, int> partitionCounts, IReadOnlyList<MemberSubscription> members,
        Func<ConsumerSubscription, StickyClaim> claimOf)
    {
        var plan = new AssignmentPlan(partitionCounts, members);
        Dictionary<string, Share> shares = plan.Members.ToDictionary(member => member, _ => new Share(), StringComparer.Ordinal);
        Dictionary<TopicPartition, string> kept = RightfulOwners(plan, partitionCounts, members, claimOf);
        foreach ((TopicPartition partition, string owner) in
            kept.OrderBy(entry => entry.Key.Topic, StringComparer.Ordinal).ThenBy(entry => entry.Key.Partition))
        {
            shares[owner].Add(partition);
        }

        // Topics with the fewest subscribers come first: the others leave more choice for balance.
        foreach (string topic in plan.Topics.OrderBy(topic => plan.SubscribersOf(topic).Count))
        {
            for (int partition = 0; partition < partitionCounts[topic]; partition++)
            {
                var free = new TopicPartition(topic, partition);
                if (!kept.ContainsKey(free))
                    shares[Least(plan, shares, topic)].Add(free);
            }
        }

        Balance(plan, shares);
        foreach (string member in plan.Members)
        {
            foreach (TopicPartition partition in shares[member].All.OrderBy(p => p.Topic, StringComparer.Ordinal).ThenBy(p => p.Partition))
                plan.Give(member, partition);
        }

        return plan.Result;
    }

    /// <summary>The claim of the latest generation wins; two claims of the same generation cancel each other.</summary>
    private static Dictionary<TopicPartition, string> RightfulOwners(
        AssignmentPlan plan, IReadOnlyDictionary<string, int> partitionCounts, IReadOnlyList<MemberSubscription> members,
        Func<ConsumerSubscription, StickyClaim> claimOf)
    {
        var best = new Dictionary<TopicPartition, (int Generation, string? Member)>();
        foreach (MemberSubscription member in members)
        {
            StickyClaim claim = claimOf(member.Subscription);
            foreach (TopicPartition partition in claim.Owned.Distinct())
            {
                if (partition.Partition < 0 || partition.Partition >= partitionCounts.GetValueOrDefault(partition.Topic))
                    continue;

                bool taken = best.TryGetValue(partition, out (int Generation, string? Member) other);
                if (!taken || claim.Generation > other.Generation)
                    best[partition] = (claim.Generation, member.MemberId);
                else if (claim.Generation == other.Generation)
                    best[partition] = (claim.Generation, null);
            }
        }

        return best.Where(entry => entry.Value.Member is { } member && plan.IsSubscribed(member, entry.Key.Topic))
            .ToDictionary(entry => entry.Key, entry => entry.Value.Member!);
    }

    private static void Balance(AssignmentPlan plan, Dictionary<string, Share> shares)
    {
        // Each move brings two shares closer to each other, so this ends.
        for (bool moved = true; moved;)
        {
            moved = false;
            foreach (string giver in plan.Members.OrderByDescending(member => shares[member].Count))
            {
                foreach (string topic in shares[giver].Topics)
                {
                    string taker = Least(plan, shares, topic);
                    while (shares[giver].Count > shares[taker].Count + 1 && shares[giver].TryTake(topic, out TopicPartition partition))
                    {
                        shares[taker].Add(partition);
                        moved = true;
                        taker = Least(plan, shares, topic);
                    }
                }
            }
        }
    }

    private static string Least(AssignmentPlan plan, Dictionary<string, Share> shares, string topic)
    {
        IReadOnlyList<string> subscribers = plan.SubscribersOf(topic);
        string least = subscribers[0];
        for (int i = 1; i < subscribers.Count; i++)
            least = shares[subscribers[i]].Count < shares[least].Count ? subscribers[i] : least;

        return least;
    }

    /// <summary>The partitions of one member, by topic. The last one added leaves first, so that partitions owned before stay.</summary>
    private sealed class Share
    {
        private readonly SortedDictionary<string, Stack<TopicPartition>> _byTopic = new(StringComparer.Ordinal);

        public int Count { get; private set; }

        public IReadOnlyList<string> Topics => [.. _byTopic.Keys];

        public IEnumerable<TopicPartition> All => _byTopic.Values.SelectMany(partitions => partitions);

        public void Add(TopicPartition partition)
        {
            if (!_byTopic.TryGetValue(partition.Topic, out Stack<TopicPartition>? partitions))
                _byTopic.Add(partition.Topic, partitions = new Stack<TopicPartition>());

            partitions.Push(partition);
            Count++;
        }

        public bool TryTake(string topic, out TopicPartition partition)
        {
            partition = default;
            if (!_byTopic.TryGetValue(topic, out Stack<TopicPartition>? partitions) || !partitions.TryPop(out partition))
                return false;

            Count--;
            return true;
        }
    }
}
