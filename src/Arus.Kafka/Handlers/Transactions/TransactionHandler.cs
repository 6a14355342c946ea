using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Serves an API by asking the coordinator of one transactional id.</summary>
/// <param name="idOf">The transactional id of a request.</param>
/// <param name="ask">Asks the coordinator.</param>
/// <param name="fail">The response to a request that failed.</param>
/// <typeparam name="TRequest">The type of the request.</typeparam>
/// <typeparam name="TResponse">The type of the response.</typeparam>
internal abstract class TransactionHandler<TRequest, TResponse>(
    IGrainFactory grains, Func<TRequest, string> idOf,
    Func<ITransactionGrain, TRequest, KafkaRequestContext, Task<TResponse>> ask, Func<ErrorCode, TResponse> fail)
    : ApiHandler<TRequest>(ApiScope.Coordinator)
    where TRequest : IApiRequest<TRequest, TResponse>
    where TResponse : class, IApiMessage<TResponse>
{
    protected sealed override async Task<IApiMessage?> HandleAsync(TRequest request, KafkaRequestContext context) =>
        idOf(request).Length == 0
            ? fail(ErrorCode.InvalidRequest)
            : await ask(grains.GetTransaction(idOf(request)), request, context);

    protected sealed override IApiMessage Fail(TRequest request, ErrorCode error, string message) => fail(error);

    protected sealed override string SubjectOf(TRequest request) => idOf(request);
}

/// <summary>The errors of coordinators of transactions, as the versions of requests know them.</summary>
internal static class TransactionErrors
{
    /// <summary>Older versions have one code for a producer that was fenced by a coordinator, and by a partition.</summary>
    /// <param name="knownSince">The first version that knows the other.</param>
    public static ErrorCode ForVersion(this ErrorCode error, short version, short knownSince) =>
        error == ErrorCode.ProducerFenced && version < knownSince ? ErrorCode.InvalidProducerEpoch : error;
}

/// <summary>Makes a group, whose offsets are to be committed, a participant of a transaction.</summary>
internal sealed class AddOffsetsToTxnHandler(IGrainFactory grains)
    : TransactionHandler<AddOffsetsToTxnRequest, AddOffsetsToTxnResponse>(
        grains, static request => request.TransactionalId,
        static async (transaction, request, context) =>
        {
            GroupParticipation added = await transaction.AddGroupAsync(request.ProducerId, request.ProducerEpoch, request.GroupId);
            return new() { ErrorCode = added.ErrorCode.ForVersion(context.Version, FencedSince) };
        },
        static error => new() { ErrorCode = error })
{
    private const short FencedSince = 2;
}

/// <summary>Commits or aborts a transaction; answered when the decision is durable.</summary>
internal sealed class EndTxnHandler(IGrainFactory grains) : TransactionHandler<EndTxnRequest, EndTxnResponse>(
    grains, static request => request.TransactionalId,
    static async (transaction, request, context) =>
    {
        short transactionVersion = (short)(context.Version >= EpochRaisedSince ? 2 : 0);
        EndTxnResponse end = await transaction.EndAsync(request, transactionVersion);
        return end.ErrorCode == ErrorCode.None
            ? end
            : new() { ErrorCode = end.ErrorCode.ForVersion(context.Version, FencedSince), ProducerId = -1, ProducerEpoch = -1 };
    },
    static error => new() { ErrorCode = error, ProducerId = -1, ProducerEpoch = -1 })
{
    private const short FencedSince = 2;

    /// <summary>Producers of transaction version 2 send it, and go on with the epoch of the response (KIP-890).</summary>
    private const short EpochRaisedSince = 5;
}
