using Arus.Grains;
using Arus.Protocol;
using FetchRequest = Arus.Protocol.FetchRequest;
using FetchResponse = Arus.Protocol.FetchResponse;
using PartitionData = Arus.Protocol.FetchResponse.PartitionData;

namespace Arus.Kafka;

/// <summary>Reads record batches, of the partitions that a request names or that its session knows (KIP-227).</summary>
internal sealed class FetchHandler(
    KafkaListenerOptions options, TopicCache topicCache, PartitionReads partitionReads, FetchSessions sessions, TimeProvider time)
    : ApiHandler<FetchRequest>(ApiScope.Fetch)
{
    private const short FirstVersionWithTopicIds = 13;
    private const short FirstVersionThatNamesLeaders = 16;

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
        if (!Enum.IsDefined((IsolationLevel)request.IsolationLevel))
            return FailAll(request, context.Version);

        FetchContext fetch = sessions.Begin(request, ByTopicId(context));
        if (fetch.Error != ErrorCode.None)
            return new FetchResponse { ErrorCode = fetch.Error };

        var answers = new PartitionData?[fetch.Partitions.Length];
        (List<FetchPosition> positions, bool[] isKnown) = await ResolveAsync(fetch, request, answers, context);
        if (request.MaxBytes < 0 && positions.Count > 0)
            positions[0] = positions[0] with { MaxBytes = request.MaxBytes }; // As Kafka does: the others get none.

        PartitionData[] read = await ReadAsync(request, [.. positions], context);
        for ((int i, int next) = (0, 0); i < answers.Length; i++)
            answers[i] ??= read[next++];

        return fetch.Complete(answers!, i => isKnown[i]);
    }

    private static bool ByTopicId(KafkaRequestContext context) => context.Version >= FirstVersionWithTopicIds;

    /// <summary>The request is refused as a whole; before topic ids, clients look at the partitions.</summary>
    private static FetchResponse FailAll(FetchRequest request, short version) => new()
    {
        ErrorCode = ErrorCode.UnknownServerError,
        SessionId = request.SessionId,
        Responses = version >= FirstVersionWithTopicIds ? [] : Array.ConvertAll(
            request.Topics, topic => new FetchResponse.FetchableTopicResponse
            {
                Topic = topic.Topic,
                Partitions = Array.ConvertAll(
                    topic.Partitions, partition => Refuse(partition.Partition, ErrorCode.UnknownServerError)),
            }),
    };

    /// <summary>Finds where to read, and answers the partitions of which nothing is read.</summary>
    /// <returns>The positions, and whether each partition exists.</returns>
    private async Task<(List<FetchPosition> Positions, bool[] IsKnown)> ResolveAsync(
        FetchContext fetch, FetchRequest request, PartitionData?[] answers, KafkaRequestContext context)
    {
        RackView? rack = await partitionReads.ViewAsync(request.RackId, context.Listener);
        bool isReplica = request.ReplicaId >= 0 || request.ReplicaState is { ReplicaId: >= 0 };
        var positions = new List<FetchPosition>(answers.Length);
        var isKnown = new bool[answers.Length];
        (TopicDescription? topic, ErrorCode error) = (null, ErrorCode.None);
        for (int i = 0; i < answers.Length; i++)
        {
            context.Gone.ThrowIfCancellationRequested();
            FetchKey key = fetch.Partitions[i].Key;
            if (i == 0 || key with { Partition = 0 } != fetch.Partitions[i - 1].Key with { Partition = 0 })
                (topic, error) = await ResolveAsync(fetch.Partitions[i], context);

            FetchRequest.FetchPartition asked = fetch.Requests[i];
            if (topic is null || (uint)key.Partition >= (uint)topic.Partitions.Length)
            {
                answers[i] = Refuse(key.Partition, topic is null ? error : ErrorCode.UnknownTopicOrPartition);
                if (error == ErrorCode.InconsistentTopicId)
                    answers[i]!.AbortedTransactions = null; // In Kafka the partition answers it, and exists.

                continue;
            }

            isKnown[i] = true;
            fetch.Partitions[i].TopicName = topic.Name;
            if (isReplica)
            {
                answers[i] = RefuseReplica(topic.Partitions[key.Partition], asked, context.Version);
                continue;
            }

            positions.Add(new FetchPosition(
                new TopicPartition(topic.Name, key.Partition), topic.Id, asked.FetchOffset, Math.Max(-1, asked.CurrentLeaderEpoch),
                asked.PartitionMaxBytes, asked.LastFetchedEpoch >= 0 ? asked.LastFetchedEpoch : null,
                rack?.ReplicaOf(topic.Partitions[key.Partition]) ?? -1));
        }

        return (positions, isKnown);
    }

    /// <summary>The topic of a partition. A session notices that its topic is gone, and tells from an id that never was.</summary>
    private async ValueTask<(TopicDescription? Topic, ErrorCode Error)> ResolveAsync(
        SessionPartition partition, KafkaRequestContext context)
    {
        (TopicDescription? topic, ErrorCode error) = await topicCache.ResolveAsync(
            partition.Key.Topic, ByTopicId(context) ? partition.Key.TopicId : null, context);
        if (error != ErrorCode.UnknownTopicId || partition.TopicName is not { } name)
            return (topic, error);

        (TopicDescription? successor, error) = await topicCache.ResolveAsync(name, null, context);
        return (null, successor is null ? error : ErrorCode.InconsistentTopicId);
    }

    private async Task<PartitionData[]> ReadAsync(FetchRequest request, FetchPosition[] positions, KafkaRequestContext context)
    {
        var isolation = (IsolationLevel)request.IsolationLevel;
        var limits = new FetchLimits(
            request.MinBytes, Math.Clamp(request.MaxBytes, 0, options.MaxFetchBytes),
            TimeSpan.FromMilliseconds(Math.Max(0, request.MaxWaitMs)), isolation);
        var reader = new FetchReader(partitionReads, topicCache, time, context, positions, limits);
        await reader.RunAsync();
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
                ErrorCode = ByTopicId(context) ? error : GrainFailure.ToErrorByName(error),
                HighWatermark = result.HighWatermark,
                LastStableOffset = result.LastStableOffset,
                LogStartOffset = result.LogStartOffset,
                AbortedTransactions = isolation == IsolationLevel.ReadCommitted && WasRead(positions[i], result)
                    ? Array.ConvertAll(result.Aborted ?? [], ToWire)
                    : null,
                Records = new Records(result.Records.Segments),
            };
            if (reader.ReplicaOf(i) is >= 0 and var replica)
                (read[i].PreferredReadReplica, read[i].AbortedTransactions) = (replica, null);

            if (result.Diverging is { } diverging)
                read[i].DivergingEpoch = new() { Epoch = diverging.LeaderEpoch, EndOffset = diverging.EndOffset };
        }

        return read;
    }

    private static FetchResponse.AbortedTransaction ToWire(AbortedTransaction aborted) =>
        new() { ProducerId = aborted.ProducerId, FirstOffset = aborted.FirstOffset };

    /// <summary>
    /// Whether there was room for what is at the position, or nothing is there. Otherwise Kafka tells of no transactions.
    /// </summary>
    private static bool WasRead(FetchPosition position, PartitionReadResult result) =>
        result.Error == ErrorCode.None && result.Diverging is null
        && (result.Records.SizeInBytes > 0 || position.Offset >= result.LastStableOffset);

    private static PartitionData Refuse(int partition, ErrorCode error) => new()
    {
        PartitionIndex = partition, ErrorCode = error, HighWatermark = -1, AbortedTransactions = [],
    };

    /// <summary>A broker that is no replica; here no broker copies another one by Kafka's protocol.</summary>
    private static PartitionData RefuseReplica(PartitionAssignment partition, FetchRequest.FetchPartition asked, short version)
    {
        // With an epoch Kafka takes it for a replica that knows of a newer assignment.
        PartitionData refusal = Refuse(
            partition.Partition, asked.CurrentLeaderEpoch >= 0 ? ErrorCode.UnknownLeaderEpoch : ErrorCode.NotLeaderOrFollower);
        refusal.AbortedTransactions = null;
        if (version >= FirstVersionThatNamesLeaders)
            refusal.CurrentLeader = new() { LeaderId = partition.Leader, LeaderEpoch = Math.Max(0, partition.LeaderEpoch) };

        return refusal;
    }
}
