using Arus.Grains;
using Arus.Protocol;
using DeletedPartition = Arus.Protocol.OffsetDeleteRequest.OffsetDeleteRequestPartition;

namespace Arus.Client;

/// <summary>Maps the client's types to the messages of a group's coordinator.</summary>
internal static class GroupMessages
{
    /// <summary>The identity of a commit from outside of the group.</summary>
    public static readonly MemberIdentity NoMember = new("", GroupInstanceId: null, GenerationId: -1);

    /// <summary>Commits offsets.</summary>
    /// <param name="transaction">In which they are committed; null for none.</param>
    /// <returns>The error of each, in order.</returns>
    public static async Task<ErrorCode[]> CommitOffsetsAsync(
        this IGroupGrain group, string groupId, MemberIdentity member, IReadOnlyCollection<CommittedOffset> offsets,
        CommittingTransaction? transaction = null)
    {
        var request = new OffsetCommitRequest
        {
            GroupId = groupId,
            MemberId = member.MemberId,
            GroupInstanceId = member.GroupInstanceId,
            GenerationIdOrMemberEpoch = member.GenerationId,
            Topics = [.. offsets.GroupBy(offset => offset.Partition.Topic, StringComparer.Ordinal).Select(
                topic => new OffsetCommitRequest.OffsetCommitRequestTopic
                {
                    Name = topic.Key,
                    Partitions = [.. topic.Select(offset => new OffsetCommitRequest.OffsetCommitRequestPartition
                    {
                        PartitionIndex = offset.Partition.Partition,
                        CommittedOffset = offset.Offset,
                        CommittedLeaderEpoch = offset.LeaderEpoch,
                        CommittedMetadata = offset.Metadata,
                    })],
                })],
        };
        OffsetCommitResponse response = await (transaction is { } open
            ? group.TxnCommitOffsetsAsync(request, open, topicIds: [])
            : group.CommitOffsetsAsync(request, retentionMs: -1, topicIds: [])).ConfigureAwait(false);
        ILookup<TopicPartition, ErrorCode> errors = response.Topics
            .SelectMany(topic => topic.Partitions, (topic, partition) => (topic.Name, Partition: partition))
            .ToLookup(
                row => new TopicPartition(row.Name, row.Partition.PartitionIndex),
                // For a member it is the same: it has to join again.
                row => row.Partition.ErrorCode == ErrorCode.GroupIdNotFound ? ErrorCode.IllegalGeneration : row.Partition.ErrorCode);
        return [.. offsets.Select(offset => errors[offset.Partition].First())];
    }

    /// <summary>Fetches committed offsets, in order; null asks for all.</summary>
    /// <param name="requireStable">Whether offsets that an open transaction may change are refused (KIP-447).</param>
    /// <exception cref="ArusException"><see cref="ErrorCode.UnstableOffsetCommit"/>: ask again when the transaction has ended.</exception>
    public static async Task<CommittedOffset[]> FetchOffsetsAsync(
        this IGroupGrain group, string groupId, IReadOnlyCollection<TopicPartition>? partitions, bool requireStable = false)
    {
        var request = new OffsetFetchRequest.OffsetFetchRequestGroup
        {
            GroupId = groupId,
            Topics = partitions is null ? null : [.. ConsumerProtocol.ByTopic(partitions).Select(
                topic => new OffsetFetchRequest.OffsetFetchRequestTopics { Name = topic.Topic, PartitionIndexes = topic.Partitions })],
        };
        OffsetFetchResponse response = await group.FetchOffsetsAsync(
            new OffsetFetchRequest { Groups = [request], RequireStable = requireStable }).ConfigureAwait(false);
        response.Groups[0].Topics.SelectMany(topic => topic.Partitions)
            .FirstOrDefault(partition => partition.ErrorCode != ErrorCode.None)?.ErrorCode
            .ThrowIfError($"Fetching the committed offsets of '{groupId}'");
        CommittedOffset[] offsets =
        [
            .. response.Groups[0].Topics.SelectMany(topic => topic.Partitions, (topic, offset) => new CommittedOffset(
                new(topic.Name, offset.PartitionIndex), offset.CommittedOffset, offset.CommittedLeaderEpoch, offset.Metadata ?? "")),
        ];
        if (partitions is null)
            return offsets;

        ILookup<TopicPartition, CommittedOffset> found = offsets.ToLookup(offset => offset.Partition);
        return [.. partitions.Select(partition => found[partition].First())];
    }

    /// <summary>Deletes committed offsets.</summary>
    /// <returns>The first error.</returns>
    public static async Task<ErrorCode> DeleteOffsetsAsync(
        this IGroupGrain group, string groupId, IReadOnlyCollection<TopicPartition> partitions)
    {
        OffsetDeleteResponse response = await group.DeleteOffsetsAsync(new OffsetDeleteRequest
        {
            GroupId = groupId,
            Topics = [.. ConsumerProtocol.ByTopic(partitions).Select(topic => new OffsetDeleteRequest.OffsetDeleteRequestTopic
            {
                Name = topic.Topic,
                Partitions = Array.ConvertAll(topic.Partitions, index => new DeletedPartition { PartitionIndex = index }),
            })],
        }).ConfigureAwait(false);
        return response.Topics.SelectMany(topic => topic.Partitions).Select(partition => partition.ErrorCode)
            .Prepend(response.ErrorCode).FirstOrDefault(error => error != ErrorCode.None);
    }

    /// <exception cref="ArusException"><see cref="ErrorCode.GroupIdNotFound"/>.</exception>
    public static async Task<GroupDescription> DescribeAsync(this IGroupGrain group, string groupId)
    {
        DescribeGroupsResponse response = await group.DescribeAsync(new DescribeGroupsRequest { Groups = [groupId] }).ConfigureAwait(false);
        DescribeGroupsResponse.DescribedGroup described = response.Groups[0];
        described.ErrorCode.ThrowIfError($"Describing the group '{groupId}'");
        GroupCoordinator coordinator = await group.LocateAsync().ConfigureAwait(false);
        return new GroupDescription(
            groupId, described.GroupState, coordinator.GenerationId, described.ProtocolType, described.ProtocolData, coordinator.BrokerId,
            [.. described.Members.Select(member => new GroupMemberDescription(
                member.MemberId, member.GroupInstanceId, member.ClientId, member.ClientHost, member.MemberMetadata,
                member.MemberAssignment))]);
    }
}
