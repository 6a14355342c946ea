using Arus.Protocol;

namespace Arus.Client;

/// <summary>
/// Kafka's <c>sticky</c> (KIP-54). A member tells the leader in its user data what it owned and in which generation; formats 0 (without
/// the generation) and 1 are read, 1 is written.
/// </summary>
internal sealed class StickyAssignor() : BuiltInAssignor("sticky")
{
    public override ReadOnlyMemory<byte> GetUserData(
        IReadOnlyCollection<string> topics, IReadOnlyCollection<TopicPartition> owned, int generation)
    {
        if (owned.Count == 0)
            return default;

        var data = new StickyAssignorUserData
        {
            PreviousAssignment = [.. ConsumerProtocol.ByTopic(owned).Select(
                topic => new StickyAssignorUserData.PreviousTopic { Topic = topic.Topic, Partitions = topic.Partitions })],
            Generation = generation,
        };
        return DataMessages.Write(data, version: 1);
    }

    protected override void Fill(AssignmentPlan plan) => StickyPlan.Fill(plan, ClaimOf);

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
internal sealed class CooperativeStickyAssignor() : BuiltInAssignor("cooperative-sticky", RebalanceProtocol.Cooperative)
{
    /// <summary>The generation alone: leaders of before subscription version 2 look for it here.</summary>
    public override ReadOnlyMemory<byte> GetUserData(
        IReadOnlyCollection<string> topics, IReadOnlyCollection<TopicPartition> owned, int generation) =>
        DataMessages.Write(new CooperativeStickyAssignorUserData { Generation = generation }, version: 0);

    protected override void Fill(AssignmentPlan plan)
    {
        // Claims of every generation count here: a member that is behind may still read what it claims.
        ILookup<TopicPartition, string> claimants = plan.Subscriptions
            .SelectMany(member => member.Subscription.Owned, (member, partition) => (member.MemberId, Partition: partition))
            .ToLookup(claim => claim.Partition, claim => claim.MemberId);
        StickyPlan.Fill(plan, ClaimOf, (member, partition) => claimants[partition].All(claimant => claimant == member));
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
    /// <param name="mayGive">Whether a member may get a partition now; null for always.</param>
    public static void Fill(
        AssignmentPlan plan, Func<ConsumerSubscription, StickyClaim> claimOf, Func<string, TopicPartition, bool>? mayGive = null)
    {
        Dictionary<string, List<TopicPartition>> shares = plan.Members.ToDictionary(member => member, _ => new List<TopicPartition>());
        Dictionary<TopicPartition, string> kept = RightfulOwners(plan, claimOf);
        foreach (TopicPartition partition in InOrder(kept.Keys))
            shares[kept[partition]].Add(partition);

        // Topics with the fewest subscribers come first: the others leave more choice for balance.
        IEnumerable<string> topics = plan.Topics.OrderBy(topic => plan.SubscribersOf(topic).Count);
        foreach (TopicPartition free in topics.SelectMany(plan.PartitionsOf).Where(partition => !kept.ContainsKey(partition)))
            Least(plan, shares, free.Topic).Add(free);

        Balance(plan, shares);
        foreach (string member in plan.Members)
        {
            foreach (TopicPartition partition in InOrder(shares[member]).Where(p => mayGive?.Invoke(member, p) != false))
                plan.Give(member, partition);
        }
    }

    private static IEnumerable<TopicPartition> InOrder(IEnumerable<TopicPartition> partitions) =>
        partitions.OrderBy(partition => partition.Topic, StringComparer.Ordinal).ThenBy(partition => partition.Partition);

    /// <summary>The claim of the latest generation wins; two claims of the same generation cancel each other.</summary>
    private static Dictionary<TopicPartition, string> RightfulOwners(
        AssignmentPlan plan, Func<ConsumerSubscription, StickyClaim> claimOf)
    {
        var best = new Dictionary<TopicPartition, (int Generation, string? Member)>();
        foreach (MemberSubscription member in plan.Subscriptions)
        {
            StickyClaim claim = claimOf(member.Subscription);
            foreach (TopicPartition partition in claim.Owned.Distinct())
            {
                bool taken = best.TryGetValue(partition, out (int Generation, string? Member) other);
                if (!taken || claim.Generation >= other.Generation)
                    best[partition] = (claim.Generation, taken && claim.Generation == other.Generation ? null : member.MemberId);
            }
        }

        return best.Where(entry => entry.Value.Member is { } member && plan.IsSubscribed(member, entry.Key.Topic)
            && entry.Key.Partition >= 0 && entry.Key.Partition < plan.PartitionCounts[entry.Key.Topic])
            .ToDictionary(entry => entry.Key, entry => entry.Value.Member!);
    }

    private static void Balance(AssignmentPlan plan, Dictionary<string, List<TopicPartition>> shares)
    {
        // Each move brings two shares closer to each other, so this ends.
        for (bool moved = true; moved;)
        {
            moved = false;
            foreach (List<TopicPartition> share in plan.Members.Select(member => shares[member]).OrderByDescending(share => share.Count))
            {
                foreach (string topic in share.Select(p => p.Topic).Distinct().Order(StringComparer.Ordinal).ToArray())
                {
                    // The last one added leaves first, so that partitions owned before stay.
                    List<TopicPartition> least = Least(plan, shares, topic);
                    while (share.Count > least.Count + 1 && share.FindLastIndex(p => p.Topic == topic) is >= 0 and int last)
                    {
                        least.Add(share[last]);
                        share.RemoveAt(last);
                        moved = true;
                        least = Least(plan, shares, topic);
                    }
                }
            }
        }
    }

    /// <summary>The smallest share among a topic's subscribers; of equal ones the first.</summary>
    private static List<TopicPartition> Least(AssignmentPlan plan, Dictionary<string, List<TopicPartition>> shares, string topic) =>
        plan.SubscribersOf(topic).Select(member => shares[member]).MinBy(share => share.Count)!;
}
