using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Answers committed offsets: -1 and "" where there is none, never an error for it. One group until version 7, several since.</summary>
internal sealed class OffsetFetchHandler(GatewayServices services) : ApiHandler<OffsetFetchRequest>
{
    public override RequestOrdering Ordering => RequestOrdering.Concurrent;

    protected override async Task<IApiMessage?> HandleAsync(OffsetFetchRequest request, RequestContext context) =>
        context.Version < 8
            ? await FetchOneAsync(request, context.Version)
            : new OffsetFetchResponse { Groups = await Parallel.MapAsync(request.Groups, group => FetchAsync(group, context.Version)) };

    private async Task<OffsetFetchResponse> FetchOneAsync(OffsetFetchRequest request, short version)
    {
        TopicPartition[]? wanted = request.Topics is null
            ? null
            : [.. request.Topics.SelectMany(topic => topic.PartitionIndexes.Select(index => new TopicPartition(topic.Name, index)))];
        (CommittedOffset[] offsets, ErrorCode error) = await FetchAsync(request.GroupId, wanted);
        return new OffsetFetchResponse
        {
            ErrorCode = error,

            // Version 1 has no error but the partitions'.
            Topics = error != ErrorCode.None && version >= 2 ? [] : [.. Rows(offsets, wanted, error).GroupBy(row => row.Partition.Topic).Select(
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

    private async Task<OffsetFetchResponse.OffsetFetchResponseGroup> FetchAsync(OffsetFetchRequest.OffsetFetchRequestGroup group, short version)
    {
        var topics = new List<OffsetFetchResponse.OffsetFetchResponseTopics>();
        var named = new List<(string Name, Guid Id)>();
        var wanted = new List<TopicPartition>();
        foreach (OffsetFetchRequest.OffsetFetchRequestTopics asked in group.Topics ?? [])
        {
            string? name = asked.Name;
            if (version >= 10)
            {
                (TopicDescription? topic, ErrorCode unknown) = await services.ResolveAsync(null, asked.TopicId, Asked.Coordinator, "OffsetFetch");
                name = topic?.Name;
                if (name is null)
                {
                    topics.Add(Unknown(asked, unknown));
                    continue;
                }
            }

            named.Add((name, asked.TopicId));
            wanted.AddRange(asked.PartitionIndexes.Select(index => new TopicPartition(name, index)));
        }

        (CommittedOffset[] offsets, ErrorCode error) = await FetchAsync(group.GroupId, group.Topics is null ? null : [.. wanted]);
        if (error != ErrorCode.None)
        {
            return new() { GroupId = group.GroupId, ErrorCode = error };
        }

        foreach (IGrouping<string, CommittedOffset> rows in offsets.GroupBy(row => row.Partition.Topic))
        {
            Guid id = named.Find(topic => topic.Name == rows.Key).Id;
            if (version >= 10 && group.Topics is null)
            {
                (TopicDescription? topic, _) = await services.ResolveAsync(rows.Key, null, Asked.Coordinator, "OffsetFetch");
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

    private async Task<(CommittedOffset[] Offsets, ErrorCode Error)> FetchAsync(string groupId, TopicPartition[]? wanted)
    {
        if (!GroupId.IsValid(groupId))
        {
            return ([], ErrorCode.InvalidGroupId);
        }

        try
        {
            return (await services.Grains.GetGrain<IGroupGrain>(groupId).FetchOffsetsAsync(wanted), ErrorCode.None);
        }
        catch (Exception exception)
        {
            return ([], services.Explain(exception, Asked.Coordinator, "OffsetFetch", groupId));
        }
    }

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

    private static OffsetFetchResponse.OffsetFetchResponseTopics Unknown(OffsetFetchRequest.OffsetFetchRequestTopics asked, ErrorCode error) => new()
    {
        TopicId = asked.TopicId,
        Partitions = [.. asked.PartitionIndexes.Select(index => new OffsetFetchResponse.OffsetFetchResponsePartitions
        {
            PartitionIndex = index, CommittedOffset = -1, ErrorCode = error,
        })],
    };
}
