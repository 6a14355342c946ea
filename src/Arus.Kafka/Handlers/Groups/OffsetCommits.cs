using Arus.Grains;
using Arus.Protocol;
using PartitionResponse = Arus.Protocol.OffsetCommitResponse.OffsetCommitResponsePartition;
using TopicRequest = Arus.Protocol.OffsetCommitRequest.OffsetCommitRequestTopic;
using TopicResponse = Arus.Protocol.OffsetCommitResponse.OffsetCommitResponseTopic;

namespace Arus.Kafka;

/// <summary>What commits of offsets in and outside of transactions have in common.</summary>
internal static class OffsetCommits
{
    /// <summary>
    /// Has the group commit the offsets of topics and partitions that exist, and refuses the others, each by itself. A call that fails is
    /// an error of each partition that exists.
    /// </summary>
    /// <param name="byId">Whether the request names topics by their ids.</param>
    /// <param name="commit">Asks the group to commit these, of topics with these ids.</param>
    /// <param name="toVersion">Makes an error one that the request's version knows.</param>
    public static async Task<TopicResponse[]> CommitAsync(
        string groupId, TopicRequest[] topics, bool byId, KafkaRequestContext context, TopicCache topicCache,
        Func<TopicRequest[], Guid[], Task<OffsetCommitResponse>> commit, Func<ErrorCode, ErrorCode> toVersion)
    {
        var response = new TopicResponse[topics.Length];
        var accepted = new List<TopicRequest>();
        var ids = new List<Guid>();
        var slots = new List<PartitionResponse>();
        for (int t = 0; t < topics.Length; t++)
        {
            TopicRequest requested = topics[t];
            (TopicDescription? topic, ErrorCode error) =
                await topicCache.ResolveAsync(requested.Name, byId ? requested.TopicId : null, context);
            bool Exists(int partition) => (uint)partition < (uint)(topic?.Partitions.Length ?? 0);
            PartitionResponse[] partitions = Array.ConvertAll(requested.Partitions, partition => new PartitionResponse
            {
                PartitionIndex = partition.PartitionIndex,
                ErrorCode = Exists(partition.PartitionIndex) ? ErrorCode.None : topic is null ? error : ErrorCode.UnknownTopicOrPartition,
            });
            response[t] = new() { Name = requested.Name, TopicId = requested.TopicId, Partitions = partitions };
            slots.AddRange(partitions.Where(partition => partition.ErrorCode == ErrorCode.None));
            var known = new TopicRequest
            {
                Name = topic?.Name ?? "", Partitions = Array.FindAll(requested.Partitions, partition => Exists(partition.PartitionIndex)),
            };
            if (known.Partitions.Length > 0)
            {
                accepted.Add(known);
                ids.Add(topic!.Id);
            }
        }

        if (slots.Count > 0)
        {
            ErrorCode[] errors = await context.TryAsync(
                groupId, async () => ErrorsOf(await commit([.. accepted], [.. ids])),
                (error, _) => [.. Enumerable.Repeat(error, slots.Count)]);
            for (int i = 0; i < errors.Length; i++)
                slots[i].ErrorCode = toVersion(errors[i]);
        }

        return response;
    }

    private static ErrorCode[] ErrorsOf(OffsetCommitResponse response) =>
        [.. response.Topics.SelectMany(topic => topic.Partitions).Select(partition => partition.ErrorCode)];
}
