using Arus.Grains;
using Arus.Protocol;
using AddedTopic = Arus.Protocol.AddPartitionsToTxnRequest.AddPartitionsToTxnTopic;
using Result = Arus.Protocol.AddPartitionsToTxnResponse.AddPartitionsToTxnResult;
using TopicResult = Arus.Protocol.AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult;

namespace Arus.Kafka;

/// <summary>
/// Makes partitions participants of a transaction, all or none of them. Brokers, which ask since version 4, ask for many transactions at
/// once, or whether partitions are participants already (KIP-890).
/// </summary>
internal sealed class AddPartitionsToTxnHandler(IGrainFactory grains, TopicCache topicCache)
    : ApiHandler<AddPartitionsToTxnRequest>(ApiScope.Coordinator)
{
    private const short OfBrokersSince = 4;
    private const short FencedSince = 2;
    private const short AbortableSince = 5;

    protected override async Task<IApiMessage?> HandleAsync(AddPartitionsToTxnRequest request, KafkaRequestContext context)
    {
        if (context.Version >= OfBrokersSince)
        {
            return new AddPartitionsToTxnResponse
            {
                ResultsByTransaction = await GrainCalls.MapAsync(request.Transactions, asked => HandleAsync(asked, context), context.Gone),
            };
        }

        return new AddPartitionsToTxnResponse
        {
            ResultsByTopicV3AndBelow = (await HandleAsync(
                new()
                {
                    TransactionalId = request.V3AndBelowTransactionalId,
                    ProducerId = request.V3AndBelowProducerId,
                    ProducerEpoch = request.V3AndBelowProducerEpoch,
                    Topics = request.V3AndBelowTopics,
                },
                context)).TopicResults,
        };
    }

    protected override IApiMessage Fail(AddPartitionsToTxnRequest request, ErrorCode error, string message) =>
        new AddPartitionsToTxnResponse
        {
            ErrorCode = error,
            ResultsByTopicV3AndBelow = Results(request.V3AndBelowTopics, _ => error),
            ResultsByTransaction = Array.ConvertAll(request.Transactions, asked => new Result
            {
                TransactionalId = asked.TransactionalId, TopicResults = Results(asked.Topics, _ => error),
            }),
        };

    private async Task<Result> HandleAsync(AddPartitionsToTxnRequest.AddPartitionsToTxnTransaction asked, KafkaRequestContext context) =>
        new()
        {
            TransactionalId = asked.TransactionalId,
            TopicResults = await context.TryAsync(
                asked.TransactionalId, () => AskAsync(asked, context), (error, _) => Results(asked.Topics, _ => error)),
        };

    private async Task<TopicResult[]> AskAsync(
        AddPartitionsToTxnRequest.AddPartitionsToTxnTransaction asked, KafkaRequestContext context)
    {
        if (asked.TransactionalId.Length == 0)
            return Results(asked.Topics, _ => ErrorCode.InvalidRequest);

        (TransactionPartition[] partitions, HashSet<TopicPartition> unknown) = await ResolveAsync(asked.Topics, context);
        if (unknown.Count > 0)
        {
            return Results(
                asked.Topics,
                partition => unknown.Contains(partition) ? ErrorCode.UnknownTopicOrPartition : ErrorCode.OperationNotAttempted);
        }

        ITransactionGrain transaction = grains.GetTransaction(asked.TransactionalId);
        ErrorCode error = asked.VerifyOnly
            ? await transaction.VerifyPartitionsAsync(asked.ProducerId, asked.ProducerEpoch, partitions)
            : await transaction.AddPartitionsAsync(asked.ProducerId, asked.ProducerEpoch, partitions);
        error = error == ErrorCode.TransactionAbortable && context.Version < AbortableSince
            ? ErrorCode.InvalidTxnState
            : error.ForVersion(context.Version, FencedSince);
        return Results(asked.Topics, _ => error);
    }

    private async Task<(TransactionPartition[] Known, HashSet<TopicPartition> Unknown)> ResolveAsync(
        AddedTopic[] topics, KafkaRequestContext context)
    {
        var known = new List<TransactionPartition>();
        var unknown = new HashSet<TopicPartition>();
        foreach (AddedTopic topic in topics)
        {
            (TopicDescription? description, _) = await topicCache.ResolveAsync(topic.Name, null, context);
            foreach (int partition in topic.Partitions)
            {
                if (description is not null && (uint)partition < (uint)description.Partitions.Length)
                    known.Add(new TransactionPartition(topic.Name, partition, description.Id));
                else
                    unknown.Add(new TopicPartition(topic.Name, partition));
            }
        }

        return ([.. known], unknown);
    }

    private static TopicResult[] Results(AddedTopic[] topics, Func<TopicPartition, ErrorCode> errorOf) =>
        Array.ConvertAll(topics, topic => new TopicResult
        {
            Name = topic.Name,
            ResultsByPartition = Array.ConvertAll(
                topic.Partitions, partition => new AddPartitionsToTxnResponse.AddPartitionsToTxnPartitionResult
                {
                    PartitionIndex = partition, PartitionErrorCode = errorOf(new TopicPartition(topic.Name, partition)),
                }),
        });
}
