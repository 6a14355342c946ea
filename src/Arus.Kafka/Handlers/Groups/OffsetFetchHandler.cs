using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>
/// Answers committed offsets: -1 and "" where there is none, never an error for it. One group until version 7, several since.
/// </summary>
internal sealed class OffsetFetchHandler(IGrainFactory grains, TopicCache topicCache)
    : ApiHandler<OffsetFetchRequest>(ApiScope.Coordinator, RequestOrdering.Concurrent)
{
    protected override async Task<IApiMessage?> HandleAsync(OffsetFetchRequest request, KafkaRequestContext context) =>
        context.Version < 8
            ? await FetchOneAsync(request, context)
            : new OffsetFetchResponse { Groups = await GrainCalls.MapAsync(request.Groups, group => FetchAsync(group, context)) };

    private async Task<OffsetFetchResponse> FetchOneAsync(OffsetFetchRequest request, KafkaRequestContext context)
    {
        TopicPartition[]? wanted = request.Topics is null
            ? null
            : [.. request.Topics.SelectMany(topic => topic.PartitionIndexes.Select(index => new TopicPartition(topic.Name, index)))];
        (CommittedOffset[] offsets, ErrorCode error) = await FetchAsync(request.GroupId, wanted, context);
        return new OffsetFetchResponse
        {
            ErrorCode = error,

            // Version 1 has no error but the partitions'.
            Topics = error != ErrorCode.None && context.Version >= 2 ? [] : [.. Rows(offsets, wanted, error).GroupBy(row => row.Partition.Topic).Select(
                topic => new OffsetFetchResponse.OffsetFetchResponseTopic
                {
                    Name = topic.Key,
                    Partitions = [.. topic.Select(row => new OffsetFetchResponse.OffsetFetchResponsePartition
                    {
                        PartitionIndex = row.Partition.Partition, CommittedOffset = row.Offset, CommittedLeaderEpoch = row.LeaderEpoch,
                        Metadata = row.Metadata, ErrorCode = error,
                    })],
                })],
        };
    }

    private async Task<OffsetFetchResponse.OffsetFetchResponseGroup> FetchAsync(
        OffsetFetchRequest.OffsetFetchRequestGroup group, KafkaRequestContext context)
    {
        var topics = new List<OffsetFetchResponse.OffsetFetchResponseTopics>();
        var named = new List<(string Name, Guid Id)>();
        var wanted = new List<TopicPartition>();
        foreach (OffsetFetchRequest.OffsetFetchRequestTopics requested in group.Topics ?? [])
        {
            string? name = requested.Name;
            if (context.Version >= 10)
            {
                (TopicDescription? topic, ErrorCode unknown) = await topicCache.ResolveAsync(null, requested.TopicId, context);
                name = topic?.Name;
                if (name is null)
                {
                    topics.Add(Unknown(requested, unknown));
                    continue;
                }
            }

            named.Add((name, requested.TopicId));
            wanted.AddRange(requested.PartitionIndexes.Select(index => new TopicPartition(name, index)));
        }

        (CommittedOffset[] offsets, ErrorCode error) = await FetchAsync(group.GroupId, group.Topics is null ? null : [.. wanted], context);
        if (error != ErrorCode.None)
        {
            return new() { GroupId = group.GroupId, ErrorCode = error };
        }

        foreach (IGrouping<string, CommittedOffset> rows in offsets.GroupBy(row => row.Partition.Topic))
        {
            Guid id = named.Find(topic => topic.Name == rows.Key).Id;
            if (context.Version >= 10 && group.Topics is null)
            {
                (TopicDescription? topic, _) = await topicCache.ResolveAsync(rows.Key, null, context);
                if (topic is null)
                {
                    // Offsets of a deleted topic cannot be told: it has no id.
                    continue;
                }

                id = topic.Id;
            }

            topics.Add(Describe(rows.Key, id, rows));
        }

        return new() { GroupId = group.GroupId, Topics = [.. topics] };
    }

    private async Task<(CommittedOffset[] Offsets, ErrorCode Error)> FetchAsync(
        string groupId, TopicPartition[]? wanted, KafkaRequestContext context) => !GroupId.IsValid(groupId)
        ? ([], ErrorCode.InvalidGroupId)
        : await context.TryAsync<(CommittedOffset[], ErrorCode)>(
            groupId,
            async () => (await grains.GetGrain<IGroupGrain>(groupId).FetchOffsetsAsync(wanted), ErrorCode.None),
            (error, _) => ([], error));

    private static IEnumerable<CommittedOffset> Rows(CommittedOffset[] offsets, TopicPartition[]? wanted, ErrorCode error) =>
        error == ErrorCode.None ? offsets : (wanted ?? []).Select(partition => new CommittedOffset(partition, -1, -1, ""));

    private static OffsetFetchResponse.OffsetFetchResponseTopics Describe(string name, Guid id, IEnumerable<CommittedOffset> rows) => new()
    {
        Name = name,
        TopicId = id,
        Partitions = [.. rows.Select(row => new OffsetFetchResponse.OffsetFetchResponsePartitions
        {
            PartitionIndex = row.Partition.Partition, CommittedOffset = row.Offset, CommittedLeaderEpoch = row.LeaderEpoch, Metadata = row.Metadata,
        })],
    };

    private static OffsetFetchResponse.OffsetFetchResponseTopics Unknown(OffsetFetchRequest.OffsetFetchRequestTopics requested, ErrorCode error) => new()
    {
        TopicId = requested.TopicId,
        Partitions = [.. requested.PartitionIndexes.Select(index => new OffsetFetchResponse.OffsetFetchResponsePartitions
        {
            PartitionIndex = index, CommittedOffset = -1, ErrorCode = error,
        })],
    };
}
