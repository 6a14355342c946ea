using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Reads record batches. Sessions (KIP-227) are declined: every fetch names all its partitions.</summary>
internal sealed class FetchHandler(KafkaListenerOptions options, TopicCache topicCache, PartitionGrains partitionGrains, TimeProvider time)
    : ApiHandler(ApiCatalog.Fetch, ApiScope.Fetch, RequestOrdering.Concurrent)
{
    public override ValueTask<Task<IApiMessage?>> StartAsync(KafkaRequestContext context) =>
        new(HandleAsync(context.Read<Protocol.FetchRequest>(), context));

    public override long RecordBytesOf(IApiMessage response)
    {
        long bytes = 0;
        foreach (Protocol.FetchResponse.FetchableTopicResponse topic in ((Protocol.FetchResponse)response).Responses)
        {
            foreach (Protocol.FetchResponse.PartitionData partition in topic.Partitions)
                bytes += partition.Records.Length;
        }

        return bytes;
    }

    private async Task<IApiMessage?> HandleAsync(Protocol.FetchRequest request, KafkaRequestContext context)
    {
        if (request.SessionId != 0 || request.SessionEpoch > 0)
            return new Protocol.FetchResponse { ErrorCode = ErrorCode.FetchSessionIdNotFound };

        var response = new Protocol.FetchResponse { Responses = new Protocol.FetchResponse.FetchableTopicResponse[request.Topics.Length] };
        var positions = new List<FetchPosition>();
        var slots = new List<(Protocol.FetchResponse.FetchableTopicResponse Topic, int Index)>();
        bool hasError = false;
        for (int t = 0; t < request.Topics.Length; t++)
        {
            Protocol.FetchRequest.FetchTopic requested = request.Topics[t];
            response.Responses[t] = new()
            {
                Topic = requested.Topic,
                TopicId = requested.TopicId,
                Partitions = new Protocol.FetchResponse.PartitionData[requested.Partitions.Length],
            };
            (TopicDescription? topic, ErrorCode error) = await topicCache.ResolveAsync(
                requested.Topic, context.Version >= 13 ? requested.TopicId : null, context);
            for (int p = 0; p < requested.Partitions.Length; p++)
            {
                if (ToPosition(requested.Partitions[p], topic) is { } position)
                {
                    positions.Add(position);
                    slots.Add((response.Responses[t], p));
                    continue;
                }

                hasError = true;
                error = topic is null ? error : ErrorCode.UnknownTopicOrPartition;
                response.Responses[t].Partitions[p] = Fail(requested.Partitions[p].Partition, error);
            }
        }

        await ReadAsync(request, positions, slots, hasError, context);
        return response;
    }

    private static FetchPosition? ToPosition(Protocol.FetchRequest.FetchPartition partition, TopicDescription? topic) =>
        topic is null || (uint)partition.Partition >= (uint)topic.Partitions.Length
            ? null
            : new FetchPosition(
                new TopicPartition(topic.Name, partition.Partition), partition.FetchOffset, partition.CurrentLeaderEpoch,
                partition.PartitionMaxBytes);

    private async Task ReadAsync(
        Protocol.FetchRequest request, List<FetchPosition> positions,
        List<(Protocol.FetchResponse.FetchableTopicResponse Topic, int Index)> slots, bool hasError, KafkaRequestContext context)
    {
        IsolationLevel isolation = request.IsolationLevel == 1 ? IsolationLevel.ReadCommitted : IsolationLevel.ReadUncommitted;
        var limits = new FetchLimits(
            request.MinBytes, Math.Clamp(request.MaxBytes, 0, options.MaxFetchBytes),
            TimeSpan.FromMilliseconds(Math.Max(0, request.MaxWaitMs)), isolation);
        var reader = new FetchReader(partitionGrains, topicCache, time, context, [.. positions], limits);
        await reader.RunAsync(hasError);
        for (int i = 0; i < slots.Count; i++)
            slots[i].Topic.Partitions[slots[i].Index] = Describe(positions[i].Partition, reader.Results[i]!, isolation);
    }

    private Protocol.FetchResponse.PartitionData Describe(TopicPartition partition, PartitionReadResult result, IsolationLevel isolation)
    {
        if (GrainFailure.IsRoutingError(result.Error))
            topicCache.Invalidate(partition.Topic);

        return new()
        {
            PartitionIndex = partition.Partition,
            ErrorCode = GrainFailure.ToFetchError(result.Error),
            HighWatermark = result.HighWatermark,
            LastStableOffset = result.LastStableOffset,
            LogStartOffset = result.LogStartOffset,
            AbortedTransactions = isolation == IsolationLevel.ReadCommitted ? [] : null,
            Records = new Records(result.Records.Segments),
        };
    }

    private static Protocol.FetchResponse.PartitionData Fail(int partition, ErrorCode error) => new()
    {
        PartitionIndex = partition,
        ErrorCode = error,
        HighWatermark = -1,
    };
}
