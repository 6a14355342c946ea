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
            {
                bytes += partition.Records.Length;
            }
        }

        return bytes;
    }

    private async Task<IApiMessage?> HandleAsync(Protocol.FetchRequest request, KafkaRequestContext context)
    {
        if (request.SessionId != 0 || request.SessionEpoch > 0)
        {
            return new Protocol.FetchResponse { ErrorCode = ErrorCode.FetchSessionIdNotFound };
        }

        var response = new Protocol.FetchResponse { Responses = new Protocol.FetchResponse.FetchableTopicResponse[request.Topics.Length] };
        var positions = new List<FetchPosition>();
        var slots = new List<(int Topic, int Partition)>();
        bool hasError = false;
        for (int t = 0; t < request.Topics.Length; t++)
        {
            Protocol.FetchRequest.FetchTopic requested = request.Topics[t];
            var partitions = new Protocol.FetchResponse.PartitionData[requested.Partitions.Length];
            response.Responses[t] = new() { Topic = requested.Topic, TopicId = requested.TopicId, Partitions = partitions };
            (TopicDescription? topic, ErrorCode error) = await topicCache.ResolveAsync(
                requested.Topic, context.Version >= 13 ? requested.TopicId : null, context);
            for (int p = 0; p < partitions.Length; p++)
            {
                Protocol.FetchRequest.FetchPartition partition = requested.Partitions[p];
                if (topic is null || (uint)partition.Partition >= (uint)topic.Partitions.Length)
                {
                    hasError = true;
                    partitions[p] = Fail(partition.Partition, topic is null ? error : ErrorCode.UnknownTopicOrPartition);
                    continue;
                }

                slots.Add((t, p));
                positions.Add(new FetchPosition(
                    new TopicPartition(topic.Name, partition.Partition), partition.FetchOffset, partition.CurrentLeaderEpoch,
                    partition.PartitionMaxBytes));
            }
        }

        IsolationLevel isolation = request.IsolationLevel == 1 ? IsolationLevel.ReadCommitted : IsolationLevel.ReadUncommitted;
        var limits = new FetchLimits(
            request.MinBytes, Math.Clamp(request.MaxBytes, 0, options.MaxFetchBytes),
            TimeSpan.FromMilliseconds(Math.Max(0, request.MaxWaitMs)), isolation);
        FetchPosition[] all = [.. positions];
        var reader = new FetchReader(partitionGrains, topicCache, context, all, limits);
        var fetch = new DelayedFetch(reader, context.Connection.Watches, time, all, limits);
        PartitionReadResult[] results = await fetch.RunAsync(hasError, context.Closed);
        for (int i = 0; i < results.Length; i++)
        {
            (int t, int p) = slots[i];
            response.Responses[t].Partitions[p] = Describe(positions[i].Partition, results[i], isolation);
        }

        return response;
    }

    private Protocol.FetchResponse.PartitionData Describe(TopicPartition partition, PartitionReadResult result, IsolationLevel isolation)
    {
        if (GrainFailure.IsRoutingError(result.Error))
        {
            topicCache.Invalidate(partition.Topic);
        }

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
