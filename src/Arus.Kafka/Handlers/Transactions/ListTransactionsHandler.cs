using System.Text.RegularExpressions;
using Arus.Grains;
using Arus.Protocol;
using DescribedTransaction = Arus.Protocol.DescribeTransactionsResponse.DescribedTransaction;

namespace Arus.Kafka;

/// <summary>
/// Lists the transactional ids that this broker coordinates. Tools ask every broker, and show what all of them answer.
/// </summary>
internal sealed class ListTransactionsHandler : ApiHandler<ListTransactionsRequest>
{
    private static readonly string[] States =
        ["Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"];

    private readonly IGrainFactory _grains;
    private readonly LocalBroker _broker;
    private readonly TimeProvider _time;
    private readonly RateLimitedFailureLogger _failures;
    private readonly SharedRun<DescribedTransaction[]> _all;

    public ListTransactionsHandler(IGrainFactory grains, LocalBroker broker, TimeProvider time, RateLimitedFailureLogger failures)
        : base(ApiScope.Coordinator, "all transactions")
    {
        (_grains, _broker, _time, _failures) = (grains, broker, time, failures);
        _all = new SharedRun<DescribedTransaction[]>(DescribeAllAsync);
    }

    protected override async Task<IApiMessage?> HandleAsync(ListTransactionsRequest request, KafkaRequestContext context)
    {
        if (!TryParse(request.TransactionalIdPattern, out Regex? pattern))
            return new ListTransactionsResponse { ErrorCode = ErrorCode.InvalidRegularExpression };

        DescribedTransaction[] all = await _all.AskAsync();
        long nowMs = _time.GetUtcNow().ToUnixTimeMilliseconds();
        return new ListTransactionsResponse
        {
            UnknownStateFilters = [.. request.StateFilters.Except(States, StringComparer.Ordinal)],
            TransactionStates = [.. all
                .Where(one => one.ErrorCode == ErrorCode.None)
                .Where(one => request.StateFilters.Length == 0
                    || request.StateFilters.Contains(one.TransactionState, StringComparer.Ordinal))
                .Where(one => request.ProducerIdFilters.Length == 0 || request.ProducerIdFilters.Contains(one.ProducerId))
                .Where(one => request.DurationFilter < 0 || nowMs - one.TransactionStartTimeMs > request.DurationFilter)
                .Where(one => pattern?.IsMatch(one.TransactionalId) != false)
                .Select(one => new ListTransactionsResponse.ListedTransaction
                {
                    TransactionalId = one.TransactionalId, ProducerId = one.ProducerId, TransactionState = one.TransactionState,
                })],
        };
    }

    protected override IApiMessage Fail(ListTransactionsRequest request, ErrorCode error, string message) =>
        new ListTransactionsResponse { ErrorCode = error };

    /// <summary>The whole id has to match, in time that is linear in its length whatever the expression is.</summary>
    private static bool TryParse(string? text, out Regex? pattern)
    {
        pattern = null;
        if (string.IsNullOrEmpty(text))
            return true;

        try
        {
            pattern = new Regex($@"\A(?:{text})\z", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
            return true;
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            return false;
        }
    }

    private async Task<DescribedTransaction[]> DescribeAllAsync()
    {
        string[][] shards = await GrainCalls.MapAsync(
            [.. Enumerable.Range(0, TopicCatalog.Shards)],
            shard => _grains.GetGrain<ITransactionCatalogGrain>(shard).ListAsync(onlyOpen: false));
        DescribedTransaction?[] described = await GrainCalls.MapAsync(
            [.. shards.SelectMany(shard => shard).Order(StringComparer.Ordinal)], DescribeHereAsync);
        return [.. described.OfType<DescribedTransaction>()];
    }

    /// <summary>Null for one that another broker coordinates, and for one whose call fails, which must not hide all others.</summary>
    private async Task<DescribedTransaction?> DescribeHereAsync(string id)
    {
        try
        {
            ITransactionGrain transaction = _grains.GetTransaction(id);
            return await transaction.LocateAsync() == _broker.BrokerId
                ? (await transaction.DescribeAsync(new() { TransactionalIds = [id] })).TransactionStates[0]
                : null;
        }
        catch (Exception exception)
        {
            _failures.MapAndLog(exception, Scope, nameof(ApiKey.ListTransactions), id);
            return null;
        }
    }
}
