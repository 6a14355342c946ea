using Arus.Grains;
using Arus.Protocol;
using DescribedTransaction = Arus.Protocol.DescribeTransactionsResponse.DescribedTransaction;

namespace Arus.Kafka;

/// <summary>Describes transactional ids, whichever broker coordinates them.</summary>
internal sealed class DescribeTransactionsHandler(IGrainFactory grains) : ApiHandler<DescribeTransactionsRequest>(ApiScope.Coordinator)
{
    protected override async Task<IApiMessage?> HandleAsync(DescribeTransactionsRequest request, KafkaRequestContext context) =>
        new DescribeTransactionsResponse
        {
            TransactionStates = await GrainCalls.MapAsync(request.TransactionalIds, id => DescribeAsync(id, context), context.Gone),
        };

    private async Task<DescribedTransaction> DescribeAsync(string id, KafkaRequestContext context) =>
        id.Length == 0
            ? Fail(id, ErrorCode.InvalidRequest)
            : await context.TryAsync(
                id,
                async () => (await grains.GetTransaction(id).DescribeAsync(new() { TransactionalIds = [id] })).TransactionStates[0] is
                    { ErrorCode: ErrorCode.None } described
                        ? described
                        : Fail(id, ErrorCode.TransactionalIdNotFound),
                (error, _) => Fail(id, error));

    private static DescribedTransaction Fail(string id, ErrorCode error) => new() { ErrorCode = error, TransactionalId = id };
}
