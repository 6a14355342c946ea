namespace Arus.Client;

/// <summary>How a rebalance hands partitions over (KIP-429).</summary>
public enum RebalanceProtocol : byte
{
    /// <summary>Every member gives up everything before it joins again.</summary>
    Eager = 0,

    /// <summary>Members keep what they have; a partition that moves is first revoked, then assigned in a second rebalance.</summary>
    Cooperative = 1,
}

/// <summary>
/// Divides the partitions of the subscribed topics among the members of a group. The group's leader runs it. Implementations
/// are pure: the result depends on the input only, and not on the order of the members. They are safe for concurrent use.
/// </summary>
/// <remarks>
/// Metadata travels in Kafka's embedded consumer format, so that members of one group may be of different clients. An assignor
/// is only compatible with those of other clients when it has their name and their format of user data.
/// </remarks>
public interface IPartitionAssignor
{
    /// <summary>The name members agree on: Kafka's <c>range</c>, <c>roundrobin</c>, <c>sticky</c>, <c>cooperative-sticky</c>.</summary>
    string Name { get; }

    RebalanceProtocol Protocol { get; }

    /// <summary>What a member tells the leader beside its topics; empty for none.</summary>
    /// <param name="topics">The member's subscription.</param>
    /// <param name="owned">What the member owns, or owned last.</param>
    /// <param name="generation">The generation in which it owned that; -1 for none.</param>
    ReadOnlyMemory<byte> GetUserData(IReadOnlyCollection<string> topics, IReadOnlyCollection<TopicPartition> owned, int generation);

    /// <summary>Gives every partition of every subscribed topic to one member that is subscribed to it.</summary>
    /// <param name="partitionCounts">The partitions of each topic; a topic that is missing does not exist.</param>
    /// <param name="members">The subscriptions.</param>
    /// <returns>An entry for every member, empty for one that gets nothing.</returns>
    IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> Assign(
        IReadOnlyDictionary<string, int> partitionCounts, IReadOnlyList<MemberSubscription> members);
}

/// <summary>A member as the leader sees it.</summary>
/// <param name="MemberId">The id that the coordinator gave.</param>
/// <param name="GroupInstanceId">Not null for a static member.</param>
/// <param name="Subscription">What the member said of itself.</param>
public sealed record MemberSubscription(string MemberId, string? GroupInstanceId, ConsumerSubscription Subscription);

/// <summary>The contents of Kafka's <c>ConsumerProtocolSubscription</c>.</summary>
/// <param name="Topics">The topics the member is subscribed to.</param>
/// <param name="UserData">The assignor's own; empty for none.</param>
/// <param name="Owned">Version 1 and up: what the member owns now; empty before its first assignment and under eager assignors.</param>
/// <param name="Generation">Version 2 and up: the generation of <paramref name="Owned"/>; -1 for unknown.</param>
/// <param name="RackId">Version 3 and up; null for none.</param>
public sealed record ConsumerSubscription(
    IReadOnlyList<string> Topics, ReadOnlyMemory<byte> UserData, IReadOnlyList<TopicPartition> Owned, int Generation = -1,
    string? RackId = null);
