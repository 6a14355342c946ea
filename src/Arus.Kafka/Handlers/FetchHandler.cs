using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Reads record batches. Sessions (KIP-227) are declined: every fetch names all its partitions.</summary>
internal sealed class FetchHandler(GatewayServices services) : ApiHandler<Protocol.FetchRequest>
{
    public override RequestOrdering Ordering => RequestOrdering.Concurrent;

    protected override async Task<IApiMessage?> HandleAsync(Protocol.FetchRequest request, RequestContext context)
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
            Protocol.FetchRequest.FetchTopic asked = request.Topics[t];
            var partitions = new Protocol.FetchResponse.PartitionData[asked.Partitions.Length];
            response.Responses[t] = new() { Topic = asked.Topic, TopicId = asked.TopicId, Partitions = partitions };
            (TopicDescription? topic, ErrorCode error) = await services.ResolveAsync(
                asked.Topic, context.Version >= 13 ? asked.TopicId : null, Asked.Fetch, "Fetch");
            for (int p = 0; p < partitions.Length; p++)
            {
                Protocol.FetchRequest.FetchPartition partition = asked.Partitions[p];
                if (topic is null || (uint)partition.Partition >= (uint)topic.Partitions.Length)
                {
                    hasError = true;
                    partitions[p] = Fail(partition.Partition, topic is null ? error : ErrorCode.UnknownTopicOrPartition);
                    continue;
                }

                slots.Add((t, p));
                positions.Add(new FetchPosition(
                    new TopicPartition(topic.Name, partition.Partition), partition.FetchOffset, partition.CurrentLeaderEpoch, partition.PartitionMaxBytes));
            }
        }

        IsolationLevel isolation = request.IsolationLevel == 1 ? IsolationLevel.ReadCommitted : IsolationLevel.ReadUncommitted;
        var limits = new FetchLimits(
            request.MinBytes, Math.Clamp(request.MaxBytes, 0, services.Options.MaxFetchBytes),
            TimeSpan.FromMilliseconds(Math.Max(0, request.MaxWaitMs)), isolation);
        var operation = new FetchOperation(services, context.Waiters, [.. positions], limits);
        PartitionReadResult[] results = await operation.RunAsync(hasError, context.Closed);
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
            services.Topics.Invalidate(partition.Topic);
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
