using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>
/// Appends record batches. The entries take their places in the partitions' queues in the order of the requests; the results come when
/// the partitions have answered.
/// </summary>
internal sealed class ProduceHandler(TopicCache topicCache, AppendScheduler appends)
    : ApiHandler(ApiCatalog.Produce, ApiScope.Partition)
{
    /// <summary>Earlier versions carry messages that are no record batches.</summary>
    public override short MinVersion => 3;

    /// <summary>librdkafka 2.0 does not compress for brokers that do not name version 0 (KAFKA-18659).</summary>
    public override short AdvertisedMinVersion => 0;

    public override bool IsPipelined => true;

    /// <summary>The log copies records before it answers.</summary>
    public override bool UsesPooledRequests => true;

    public override async ValueTask<Task<IApiMessage?>> StartAsync(KafkaRequestContext context)
    {
        ProduceRequest request = context.Read<ProduceRequest>();
        request.TopicData = SentBatches.Merge(request.TopicData);
        var operation = new ProduceOperation(request, context);
        AppendTransaction? transaction = request.TransactionalId is { } id
            ? new AppendTransaction(id, SupportOf(context.Version))
            : null;

        // Nobody may write to a transaction without naming it.
        ErrorCode refusal = request.TransactionalId is null && SentBatches.AnyTransactional(request.TopicData)
            ? ErrorCode.TransactionalIdAuthorizationFailed
            : ErrorCode.None;
        try
        {
            for (int i = 0; i < request.TopicData.Length; i++)
                await EnqueueAsync(request, i, operation, transaction, refusal, context);
        }
        catch
        {
            // Entries of it may be in flight: their memory is not returned to the pool.
            context.Frame.Abandoned = true;
            throw;
        }

        operation.Seal();
        return operation.Response;
    }

    /// <summary>What a version of Produce says of its producer (KIP-890, KIP-1050).</summary>
    private static TransactionSupport SupportOf(short version) =>
        version >= 12 ? TransactionSupport.Added : version >= 11 ? TransactionSupport.Abortable : TransactionSupport.Verified;

    private async ValueTask EnqueueAsync(
        ProduceRequest request, int topicIndex, ProduceOperation operation, AppendTransaction? transaction, ErrorCode refusal,
        KafkaRequestContext context)
    {
        ProduceRequest.TopicProduceData data = request.TopicData[topicIndex];
        TopicDescription? topic = context.Version >= 13 ? null : topicCache.TryGet(data.Name, TopicCache.DataMaxAge);
        if (topic is null && refusal == ErrorCode.None)
            (topic, refusal) = await topicCache.ResolveAsync(data.Name, context.Version >= 13 ? data.TopicId : null, context);

        for (int i = 0; i < data.PartitionData.Length; i++)
        {
            ProduceRequest.PartitionProduceData part = data.PartitionData[i];
            ReadOnlyMemory<byte> batch = part.Records.ToMemory();
            ValidationResult check = refusal != ErrorCode.None ? new ValidationResult(refusal, null)
                : (uint)part.Index >= (uint)topic!.Partitions.Length ? new ValidationResult(ErrorCode.UnknownTopicOrPartition, null)
                : SentBatches.TakeOnly(ref batch, context.Version);
            if (check.IsOk && request.Acks is < -1 or > 1)
                check = new ValidationResult(ErrorCode.InvalidRequiredAcks, null);

            var place = new AppendPart(topicIndex, i);
            operation.Add();
            if (!check.IsOk)
            {
                operation.Complete(place, new AppendEntryResult(check.Error, -1, -1, check.Message), -1, memoryInUse: false);
                continue;
            }

            var partition = new TopicPartition(topic!.Name, part.Index);
            context.Connection.Watches.Forget(partition);
            await appends.EnqueueAsync(
                partition, new QueuedAppend(operation, place, batch, request.Acks, request.TimeoutMs, topic.Id, transaction));
        }
    }
}
