using Arus.Grains;
using Arus.Protocol;
using TopicResponse = Arus.Protocol.DescribeTopicPartitionsResponse.DescribeTopicPartitionsTopic;

namespace Arus.Kafka;

/// <summary>Describes topics' partitions page by page (KIP-966).</summary>
internal sealed class DescribeTopicPartitionsHandler(
    ClusterCache clusterCache, TopicCache topicCache, AllTopics allTopics, KafkaListenerOptions options)
    : ApiHandler<DescribeTopicPartitionsRequest>(ApiScope.Metadata)
{
    protected override async Task<IApiMessage?> HandleAsync(DescribeTopicPartitionsRequest request, KafkaRequestContext context)
    {
        CheckCursor(request);
        ClusterView cluster = await clusterCache.ViewAsync(context.Listener);
        string[] names = request.Topics.Length > 0
            ? [.. request.Topics.Select(topic => topic.Name).Distinct().Order(StringComparer.Ordinal)]
            : Array.ConvertAll((await allTopics.GetAsync()).Rows, row => row.Listing.Name);
        var response = new DescribeTopicPartitionsResponse();
        var topics = new List<TopicResponse>();
        int room = Math.Clamp(request.ResponsePartitionLimit, 1, options.MaxRequestPartitions);
        foreach (string name in names.SkipWhile(name => request.Cursor is { } cursor && string.CompareOrdinal(name, cursor.TopicName) < 0))
        {
            context.Gone.ThrowIfCancellationRequested();
            if (room == 0)
            {
                response.NextCursor = new() { TopicName = name, PartitionIndex = 0 };
                break;
            }

            int first = request.Cursor?.TopicName == name ? request.Cursor.PartitionIndex : 0;
            (TopicDescription? topic, ErrorCode error) = TopicName.IsValid(name)
                ? await topicCache.ResolveAsync(name, null, context)
                : (null, ErrorCode.InvalidTopicException);
            if (topic is null)
            {
                topics.Add(Fail(name, error, AuthorizedOperations.Topic));
                continue;
            }

            PartitionAssignment[] page = [.. topic.Partitions.Skip(first).Take(room)];
            topics.Add(Describe(topic, page, cluster));
            room -= page.Length;
            if (first + page.Length < topic.Partitions.Length)
            {
                response.NextCursor = new() { TopicName = name, PartitionIndex = first + page.Length };
                break;
            }
        }

        response.Topics = [.. topics];
        return response;
    }

    /// <summary>
    /// The response has no error of its own: each topic that was named gets it, and without names there is no place for it.
    /// </summary>
    protected override IApiMessage? Fail(DescribeTopicPartitionsRequest request, ErrorCode error, string message) =>
        request.Topics.Length > 0
            ? new DescribeTopicPartitionsResponse { Topics = Array.ConvertAll(request.Topics, topic => Fail(topic.Name, error)) }
            : null;

    protected override string SubjectOf(DescribeTopicPartitionsRequest request) => request.Topics.Length > 0 ? "the cluster" : "all topics";

    private static void CheckCursor(DescribeTopicPartitionsRequest request)
    {
        if (request.Cursor is not { } cursor)
            return;

        if (request.Topics.Length > 0 && !Array.Exists(request.Topics, topic => topic.Name == cursor.TopicName))
            throw new ArusException(ErrorCode.InvalidRequest, $"The cursor is at topic '{cursor.TopicName}', which is not asked for.");

        if (cursor.PartitionIndex < 0)
            throw new ArusException(ErrorCode.InvalidRequest, $"The cursor is at partition {cursor.PartitionIndex}; the first one is 0.");
    }

    private static TopicResponse Fail(string name, ErrorCode error, int operations = AuthorizedOperations.NotRequested) =>
        new() { Name = name, ErrorCode = error, TopicAuthorizedOperations = operations };

    private static TopicResponse Describe(TopicDescription topic, PartitionAssignment[] page, ClusterView cluster) => new()
    {
        Name = topic.Name,
        TopicId = topic.Id,
        IsInternal = topic.IsInternal,
        TopicAuthorizedOperations = AuthorizedOperations.Topic,
        Partitions = Array.ConvertAll(page, partition =>
        {
            (int leader, ErrorCode error) = cluster.LeaderOf(partition);
            return new DescribeTopicPartitionsResponse.DescribeTopicPartitionsPartition
            {
                ErrorCode = error,
                PartitionIndex = partition.Partition,
                LeaderId = leader,
                LeaderEpoch = partition.LeaderEpoch,
                ReplicaNodes = cluster.Announce(partition.Replicas),
                IsrNodes = cluster.Announce(partition.Isr),
                EligibleLeaderReplicas = cluster.Announce(partition.Elr),
                LastKnownElr = [],
                OfflineReplicas = cluster.Offline(partition.Replicas),
            };
        }),
    };
}
