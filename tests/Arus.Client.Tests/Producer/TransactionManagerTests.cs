using Arus.Coordination;
using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;

namespace Arus.Client.Tests;

/// <summary>What a producer may do in each state of its transaction, and what it asks of the coordinator.</summary>
public sealed class TransactionManagerTests : IDisposable
{
    private static readonly ConsumerGroupMetadata Outside = new("g", "", null, -1);

    private readonly InMemoryGroup _group = new(new ManualTimeProvider());
    private readonly List<EndTxnRequest> _ends = [];
    private readonly TransactionManager _transactions;
    private Func<EndTxnRequest, EndTxnResponse> _answerEnd = request =>
        new EndTxnResponse { ProducerId = request.ProducerId, ProducerEpoch = (short)(request.ProducerEpoch + 1) };

    private Action _onFlush = () => { };
    private int _flushes;

    private (long Id, int Epoch) Identity => _transactions.Producer;

    public TransactionManagerTests()
    {
        ITransactionGrain coordinator = Fake.Of<ITransactionGrain>((method, arguments) => method.Name switch
        {
            nameof(ITransactionGrain.InitProducerIdAsync) =>
                Task.FromResult(new InitProducerIdResponse { ProducerId = 7, ProducerEpoch = 3 }),
            nameof(ITransactionGrain.EndAsync) => End((EndTxnRequest)arguments[0]!),
            _ => throw new NotSupportedException(method.Name),
        });
        IGrainFactory grains = Fake.Of<IGrainFactory>((method, _) =>
            method.GetGenericArguments()[0] == typeof(IGroupGrain) ? _group : coordinator);
        var losses = new SiloLosses(TimeProvider.System);
        var none = new ArusClientOptions { RetryBackoff = TimeSpan.Zero, RetryBackoffMax = TimeSpan.Zero };
        _transactions = new TransactionManager(
            grains, new GrainRetry(none, losses, TimeProvider.System, TimeSpan.FromSeconds(30)),
            new ProducerOptions { TransactionalId = "tx" }, Flush);
    }

    public void Dispose() => _group.Dispose();

    [Fact]
    public async Task Every_end_gives_the_next_epoch()
    {
        await BeginAsync();
        Assert.Equal((7L, 3), Identity);
        Assert.Null(_transactions.BeginSend());
        await _transactions.CommitAsync(TestTimeout.Token);
        Assert.Equal((1, (7L, 4)), (_flushes, Identity));

        _transactions.Begin();
        Assert.Null(_transactions.BeginSend());
        await _transactions.AbortAsync(TestTimeout.Token);
        Assert.Equal((7L, 5), Identity);
        Assert.Equal([(true, (short)3), (false, (short)4)], _ends.Select(end => (end.Committed, end.ProducerEpoch)));
        Assert.All(_ends, end => Assert.Equal(("tx", 7L), (end.TransactionalId, end.ProducerId)));
    }

    [Fact]
    public async Task What_held_nothing_ends_without_the_coordinator()
    {
        await BeginAsync();
        await _transactions.CommitAsync(TestTimeout.Token);
        _transactions.Begin();
        await _transactions.AbortAsync(TestTimeout.Token);
        Assert.Empty(_ends);
        _transactions.Begin();
    }

    [Fact]
    public async Task Each_call_has_its_time()
    {
        Assert.Throws<InvalidOperationException>(_transactions.Begin);
        Assert.Throws<InvalidOperationException>(_transactions.ThrowIfNotOpen);
        await BeginAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => _transactions.InitAsync(TestTimeout.Token));
        Assert.Throws<InvalidOperationException>(_transactions.Begin);
        await _transactions.CommitAsync(TestTimeout.Token);
        Assert.Throws<InvalidOperationException>(_transactions.ThrowIfNotOpen);
        await Assert.ThrowsAsync<InvalidOperationException>(() => _transactions.CommitAsync(TestTimeout.Token));
        await Assert.ThrowsAsync<InvalidOperationException>(() => _transactions.AbortAsync(TestTimeout.Token));
        await Assert.ThrowsAsync<InvalidOperationException>(
            () => _transactions.SendOffsetsAsync([new("t", 0, 5)], Outside, TestTimeout.Token));
    }

    [Fact]
    public async Task A_record_that_fails_leaves_only_the_abort()
    {
        await BeginAsync();
        _transactions.BeginSend();
        _onFlush = () => _transactions.NoteSendFailure(ErrorCode.RequestTimedOut, "too late");
        TransactionAbortableException failure =
            await Assert.ThrowsAsync<TransactionAbortableException>(() => _transactions.CommitAsync(TestTimeout.Token));
        Assert.Equal(ErrorCode.RequestTimedOut, failure.Code);
        Assert.Empty(_ends);
        Assert.Throws<TransactionAbortableException>(_transactions.ThrowIfNotOpen);
        Assert.Equal(ErrorCode.RequestTimedOut, _transactions.BeginSend()!.Code);

        _onFlush = () => { };
        await _transactions.AbortAsync(TestTimeout.Token);
        Assert.False(_ends.Single().Committed);
        _transactions.Begin();
        Assert.Null(_transactions.BeginSend());
    }

    [Fact]
    public async Task Nothing_is_sent_once_the_abort_has_begun()
    {
        await BeginAsync();
        _transactions.BeginSend();
        ArusException? refusal = null;
        _onFlush = () => refusal = _transactions.BeginSend();
        await _transactions.AbortAsync(TestTimeout.Token);
        Assert.Equal(ErrorCode.TransactionAbortable, refusal?.Code);
        Assert.NotNull(_transactions.BeginSend());
    }

    [Theory]
    [InlineData(ErrorCode.ProducerFenced)]
    [InlineData(ErrorCode.InvalidProducerEpoch)]
    public async Task Whom_another_has_fenced_can_do_nothing_more(ErrorCode answer)
    {
        await BeginAsync();
        _transactions.BeginSend();
        _answerEnd = _ => new EndTxnResponse { ErrorCode = answer };
        await Assert.ThrowsAsync<ProducerFencedException>(() => _transactions.CommitAsync(TestTimeout.Token));
        Assert.Throws<ProducerFencedException>(_transactions.Begin);
        Assert.Throws<ProducerFencedException>(_transactions.ThrowIfNotOpen);
        await Assert.ThrowsAsync<ProducerFencedException>(() => _transactions.AbortAsync(TestTimeout.Token));
        await _transactions.CloseAsync();
        Assert.Single(_ends);
    }

    [Fact]
    public async Task A_leader_that_fences_the_producer_ends_it()
    {
        await BeginAsync();
        _transactions.NoteSendFailure(ErrorCode.ProducerFenced, "");
        Assert.Throws<ProducerFencedException>(_transactions.ThrowIfNotOpen);
        Assert.Equal(ErrorCode.ProducerFenced, _transactions.BeginSend()!.Code);
    }

    [Fact]
    public async Task Only_another_commit_follows_one_whose_outcome_is_not_known()
    {
        await BeginAsync();
        _transactions.BeginSend();
        using var impatience = new CancellationTokenSource();
        _answerEnd = _ =>
        {
            impatience.Cancel();
            throw new TimeoutException("no answer");
        };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _transactions.CommitAsync(impatience.Token));
        await Assert.ThrowsAsync<InvalidOperationException>(() => _transactions.AbortAsync(TestTimeout.Token));
        Assert.Throws<InvalidOperationException>(_transactions.Begin);
        Assert.NotNull(_transactions.BeginSend());

        _answerEnd = request => new EndTxnResponse { ProducerId = 8, ProducerEpoch = 0 };
        await _transactions.CommitAsync(TestTimeout.Token);
        Assert.Equal((1, (8L, 0)), (_flushes, Identity));
        Assert.All(_ends, end => Assert.True(end.Committed));
    }

    [Fact]
    public async Task The_end_is_asked_for_again_while_the_last_transaction_is_being_completed()
    {
        await BeginAsync();
        _transactions.BeginSend();
        _answerEnd = request => _ends.Count < 3
            ? new EndTxnResponse { ErrorCode = ErrorCode.ConcurrentTransactions }
            : new EndTxnResponse { ProducerId = 7, ProducerEpoch = 4 };
        await _transactions.CommitAsync(TestTimeout.Token);
        Assert.Equal(3, _ends.Count);
    }

    [Fact]
    public async Task A_commit_that_the_coordinator_refuses_can_be_aborted()
    {
        await BeginAsync();
        _transactions.BeginSend();
        Func<EndTxnRequest, EndTxnResponse> accept = _answerEnd;
        _answerEnd = request => request.Committed ? new EndTxnResponse { ErrorCode = ErrorCode.TransactionAbortable } : accept(request);
        await Assert.ThrowsAsync<TransactionAbortableException>(() => _transactions.CommitAsync(TestTimeout.Token));
        await _transactions.AbortAsync(TestTimeout.Token);
        _transactions.Begin();
    }

    [Fact]
    public async Task Offsets_go_to_the_group_as_those_of_the_transaction()
    {
        await BeginAsync();
        await _transactions.SendOffsetsAsync([new("t", 0, 5), new("u", 1, 6)], Outside, TestTimeout.Token);
        Assert.Equal(new CommittingTransaction("tx", 7, 3, AddsGroup: true), Assert.Single(_group.TransactionalCommits));
        Assert.Equal(-1, _group.CommittedOffset(new("t", 0)));
        Assert.Equal(ErrorCode.None, await _group.WriteMarkerAsync(new TransactionMarker(7, 4, 1, IsCommit: true, TransactionVersion: 2)));
        Assert.Equal((5, 6), (_group.CommittedOffset(new("t", 0)), _group.CommittedOffset(new("u", 1))));

        // The group is a participant, so that the coordinator has to hear of the end.
        await _transactions.CommitAsync(TestTimeout.Token);
        Assert.Single(_ends);
    }

    [Fact]
    public async Task A_consumer_that_lost_its_place_commits_nothing_and_the_transaction_can_be_aborted()
    {
        JoinGroupResponse member = await _group.JoinAndSyncAsync("c");
        await BeginAsync();
        var earlier = new ConsumerGroupMetadata("g", member.MemberId, null, member.GenerationId - 1);
        CommitFailedException failure = await Assert.ThrowsAsync<CommitFailedException>(
            () => _transactions.SendOffsetsAsync([new("t", 0, 5)], earlier, TestTimeout.Token));
        Assert.Equal(ErrorCode.IllegalGeneration, failure.Code);
        await Assert.ThrowsAsync<TransactionAbortableException>(() => _transactions.CommitAsync(TestTimeout.Token));
        await _transactions.AbortAsync(TestTimeout.Token);
        _transactions.Begin();
        await _transactions.SendOffsetsAsync(
            [new("t", 0, 5)], earlier with { GenerationId = member.GenerationId }, TestTimeout.Token);
    }

    [Theory]
    [InlineData(ErrorCode.InvalidProducerEpoch, true)]
    [InlineData(ErrorCode.TransactionAbortable, false)]
    [InlineData(ErrorCode.InvalidTxnState, false)]
    public async Task What_the_group_refuses_is_fatal_or_to_be_aborted(ErrorCode refusal, bool isFatal)
    {
        await BeginAsync();
        _group.Participation = new GroupParticipation(refusal, 1);
        await Assert.ThrowsAsync(
            isFatal ? typeof(ProducerFencedException) : typeof(TransactionAbortableException),
            () => _transactions.SendOffsetsAsync([new("t", 0, 5)], Outside, TestTimeout.Token));
        if (isFatal)
            Assert.Throws<ProducerFencedException>(_transactions.ThrowIfNotOpen);
        else
            await _transactions.AbortAsync(TestTimeout.Token);
    }

    private async Task BeginAsync()
    {
        await _transactions.InitAsync(TestTimeout.Token);
        _transactions.Begin();
        _transactions.ThrowIfNotOpen();
    }

    private Task<EndTxnResponse> End(EndTxnRequest request)
    {
        _ends.Add(request);
        try
        {
            return Task.FromResult(_answerEnd(request));
        }
        catch (TimeoutException e)
        {
            return Task.FromException<EndTxnResponse>(e);
        }
    }

    private Task Flush()
    {
        _flushes++;
        _onFlush();
        return Task.CompletedTask;
    }
}
