using Arus.Grains;
using Arus.Protocol;
using FetchRequest = Arus.Protocol.FetchRequest;
using FetchResponse = Arus.Protocol.FetchResponse;
using PartitionData = Arus.Protocol.FetchResponse.PartitionData;

namespace Arus.Kafka;

/// <summary>Reads record batches. Sessions (KIP-227) are declined: every fetch names all its partitions.</summary>
internal sealed class FetchHandler(KafkaListenerOptions options, TopicCache topicCache, PartitionGrains partitionGrains, TimeProvider time)
    : ApiHandler<FetchRequest>(ApiScope.Fetch)
{
    public override long ReferencedBytesOf(IApiMessage response)
    {
        long bytes = 0;
        foreach (FetchResponse.FetchableTopicResponse topic in ((FetchResponse)response).Responses)
        {
            foreach (PartitionData partition in topic.Partitions)
                bytes += partition.Records.Length;
        }

        return bytes;
    }

    protected override async Task<IApiMessage?> HandleAsync(FetchRequest request, KafkaRequestContext context)
    {
        if (request.SessionId != 0 || request.SessionEpoch > 0)
            return new FetchResponse { ErrorCode = ErrorCode.FetchSessionIdNotFound };

        Merge(request);
        var response = new FetchResponse { Responses = new FetchResponse.FetchableTopicResponse[request.Topics.Length] };
        var positions = new List<FetchPosition>();
        var slots = new List<(PartitionData[] Partitions, int Index)>();
        bool hasError = false;
        for (int t = 0; t < request.Topics.Length; t++)
        {
            context.Gone.ThrowIfCancellationRequested();
            FetchRequest.FetchTopic requested = request.Topics[t];
            var partitions = new PartitionData[requested.Partitions.Length];
            response.Responses[t] = new() { Topic = requested.Topic, TopicId = requested.TopicId, Partitions = partitions };
            (TopicDescription? topic, ErrorCode error) = await topicCache.ResolveAsync(
                requested.Topic, context.Version >= 13 ? requested.TopicId : null, context);
            for (int p = 0; p < partitions.Length; p++)
            {
                FetchRequest.FetchPartition partition = requested.Partitions[p];
                if (topic is not null && (uint)partition.Partition < (uint)topic.Partitions.Length)
                {
                    positions.Add(new FetchPosition(
                        new TopicPartition(topic.Name, partition.Partition), topic.Id, partition.FetchOffset, partition.CurrentLeaderEpoch,
                        partition.PartitionMaxBytes));
                    slots.Add((partitions, p));
                    continue;
                }

                hasError = true;
                error = topic is null ? error : ErrorCode.UnknownTopicOrPartition;
                partitions[p] = new() { PartitionIndex = partition.Partition, ErrorCode = error, HighWatermark = -1 };
            }
        }

        PartitionData[] read = await ReadAsync(request, [.. positions], hasError, context);
        for (int i = 0; i < read.Length; i++)
            slots[i].Partitions[slots[i].Index] = read[i];

        return response;
    }

    /// <summary>Kafka serves a partition that is named more than once in its first place, as it was named last.</summary>
    private static void Merge(FetchRequest request)
    {
        if (request.Topics is [{ Partitions.Length: 1 }])
            return;

        var first = new Dictionary<(string Name, Guid Id, int Partition), (FetchRequest.FetchTopic Topic, int Index)>();
        bool isEmptied = false;
        foreach (FetchRequest.FetchTopic topic in request.Topics)
        {
            FetchRequest.FetchPartition[] partitions = topic.Partitions;
            int kept = 0;
            foreach (FetchRequest.FetchPartition partition in partitions)
            {
                if (first.TryAdd((topic.Topic, topic.TopicId, partition.Partition), (topic, kept)))
                {
                    partitions[kept++] = partition;
                    continue;
                }

                (FetchRequest.FetchTopic earlier, int index) = first[(topic.Topic, topic.TopicId, partition.Partition)];
                earlier.Partitions[index] = partition;
            }

            topic.Partitions = kept == partitions.Length ? partitions : partitions[..kept];
            isEmptied |= kept == 0 && partitions.Length > 0;
        }

        if (isEmptied)
            request.Topics = Array.FindAll(request.Topics, topic => topic.Partitions.Length > 0);
    }

    private async Task<PartitionData[]> ReadAsync(
        FetchRequest request, FetchPosition[] positions, bool hasError, KafkaRequestContext context)
    {
        IsolationLevel isolation = request.IsolationLevel == 1 ? IsolationLevel.ReadCommitted : IsolationLevel.ReadUncommitted;
        var limits = new FetchLimits(
            request.MinBytes, Math.Clamp(request.MaxBytes, 0, options.MaxFetchBytes),
            TimeSpan.FromMilliseconds(Math.Max(0, request.MaxWaitMs)), isolation);
        var reader = new FetchReader(partitionGrains, topicCache, time, context, positions, limits);
        await reader.RunAsync(hasError);
        var read = new PartitionData[positions.Length];
        for (int i = 0; i < read.Length; i++)
        {
            (TopicPartition partition, PartitionReadResult result) = (positions[i].Partition, reader.Results[i]!);
            ErrorCode error = GrainFailure.ToFetchError(result.Error);
            if (GrainFailure.IsRoutingError(error))
                topicCache.Invalidate(partition.Topic);

            read[i] = new()
            {
                PartitionIndex = partition.Partition,
                ErrorCode = context.Version >= 13 ? error : GrainFailure.ToErrorByName(error),
                HighWatermark = result.HighWatermark,
                LastStableOffset = result.LastStableOffset,
                LogStartOffset = result.LogStartOffset,
                AbortedTransactions = isolation == IsolationLevel.ReadCommitted ? [] : null,
                Records = new Records(result.Records.Segments),
            };
        }

        return read;
    }
}
