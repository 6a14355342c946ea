using Arus.Protocol;
using static Arus.Coordination.Tests.Transactions.TransactionHost;

namespace Arus.Coordination.Tests.Transactions;

/// <summary>Ids and epochs: who is fenced, who repeats a request, and what happens when the epochs are used up.</summary>
public sealed class ProducerIdentityTests
{
    private const short Last = short.MaxValue - 1;

    private readonly TransactionHost _host = new();

    private static TransactionMetadata Stored(TransactionState state, short epoch) => new()
    {
        State = (sbyte)state, ProducerId = 7, ProducerEpoch = epoch, LastProducerEpoch = -1, PreviousProducerId = -1, NextProducerId = -1,
        TimeoutMs = TimeoutMs, StartedAtMs = 1_000_000, UpdatedAtMs = 1_000_000,
        Topics = state == TransactionState.Ongoing ? [new() { Name = "t", Partitions = [0] }] : [],
    };

    [Fact]
    public void Every_instance_of_a_producer_gets_the_next_epoch()
    {
        Assert.Equal(Given(ErrorCode.None, 100, 0), _host.Init());
        Assert.Equal(Given(ErrorCode.None, 100, 1), _host.Init());
        _host.Restart();
        Assert.Equal(Given(ErrorCode.None, 100, 2), _host.Init());
        Assert.Equal(ErrorCode.ProducerFenced, _host.Add(100, 1, P(0)));
        Assert.Equal(ErrorCode.InvalidProducerIdMapping, _host.Add(99, 2, P(0)));
        Assert.Equal(ErrorCode.None, _host.Add(100, 2, P(0)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(900_001)]
    public void A_timeout_that_is_not_allowed_is_refused(int timeoutMs)
    {
        Assert.Equal(Given(ErrorCode.InvalidTransactionTimeout, -1, -1), _host.Init(timeoutMs: timeoutMs));
        Assert.Equal(TransactionState.Dead, _host.Machine.State);
        Assert.Equal(ErrorCode.None, _host.Init(timeoutMs: 900_000).Error);
    }

    [Fact]
    public void Without_a_producer_id_the_producer_is_told_to_try_again()
    {
        _host.HoldProducerIds = true;
        Assert.Equal(Given(ErrorCode.CoordinatorLoadInProgress, -1, -1), _host.Init());
        _host.HoldProducerIds = false;
        Assert.Equal(Given(ErrorCode.None, 100, 0), _host.Init());
    }

    [Fact]
    public void A_producer_that_goes_on_gets_the_next_epoch_once_however_often_it_asks()
    {
        _host.Init();
        Assert.Equal(Given(ErrorCode.None, 100, 1), _host.Init(100, 0));
        Assert.Equal(Given(ErrorCode.None, 100, 1), _host.Init(100, 0));
        _host.Restart();
        Assert.Equal(Given(ErrorCode.None, 100, 1), _host.Init(100, 0));
        Assert.Equal(Given(ErrorCode.None, 100, 2), _host.Init(100, 1));
        Assert.Equal(Given(ErrorCode.ProducerFenced, -1, -1), _host.Init(100, 0));
    }

    [Fact]
    public void A_producer_that_another_has_fenced_does_not_go_on()
    {
        _host.Init();
        Assert.Equal(Given(ErrorCode.None, 100, 1), _host.Init());
        Assert.Equal(Given(ErrorCode.ProducerFenced, -1, -1), _host.Init(100, 0));
        Assert.Equal(Given(ErrorCode.ProducerFenced, -1, -1), _host.Init(99, 1));
    }

    [Fact]
    public void A_producer_of_an_id_that_was_forgotten_gets_another()
    {
        Assert.Equal(Given(ErrorCode.None, 100, 0), _host.Init(55, 3));
        Assert.Equal(Given(ErrorCode.None, 100, 1), _host.Init(100, 0));
    }

    [Fact]
    public void A_new_instance_aborts_the_open_transaction_and_gets_an_epoch_of_its_own()
    {
        _host.Init();
        _host.Add(100, 0, P(0));
        Assert.Equal(Given(ErrorCode.ConcurrentTransactions, -1, -1), _host.Init());
        Assert.Equal(TransactionState.PrepareAbort, _host.Machine.State);
        Assert.Equal(ErrorCode.ProducerFenced, _host.End(100, 0, commit: true, 0)!.Value.Error);
        Assert.Equal(Given(ErrorCode.ConcurrentTransactions, -1, -1), _host.Init());

        MarkerToSend marker = Assert.Single(_host.TakeMarkers());
        Assert.Equal((100L, (short)1, false), (marker.ProducerId, marker.ProducerEpoch, marker.IsCommit));
        _host.Answer(marker);
        Assert.Equal(Given(ErrorCode.None, 100, 2), _host.Init());
    }

    [Fact]
    public void A_fenced_producer_that_would_go_on_does_not_abort_the_transaction_of_another()
    {
        _host.Init();
        _host.Init();
        _host.Add(100, 1, P(0));
        Assert.Equal(Given(ErrorCode.ProducerFenced, -1, -1), _host.Init(100, 0));
        Assert.Equal(TransactionState.Ongoing, _host.Machine.State);
        Assert.Equal(Given(ErrorCode.ConcurrentTransactions, -1, -1), _host.Init(100, 1));
    }

    [Fact]
    public void When_the_epochs_are_used_up_the_producer_gets_another_id()
    {
        var host = new TransactionHost(Stored(TransactionState.Empty, Last));
        Assert.Equal(Given(ErrorCode.None, 100, 0), host.Init());
        Assert.Equal(Given(ErrorCode.ProducerFenced, -1, -1), host.Init(7, Last));
    }

    [Fact]
    public void A_producer_that_goes_on_with_another_id_may_ask_again()
    {
        var host = new TransactionHost(Stored(TransactionState.Empty, Last));
        Assert.Equal(Given(ErrorCode.None, 100, 0), host.Init(7, Last));
        host.Restart();
        Assert.Equal(Given(ErrorCode.None, 100, 0), host.Init(7, Last));
        Assert.Equal(Given(ErrorCode.None, 100, 1), host.Init(100, 0));
        Assert.Equal(Given(ErrorCode.ProducerFenced, -1, -1), host.Init(7, Last));
    }

    [Fact]
    public void The_last_epoch_fences_and_is_nobodys()
    {
        var host = new TransactionHost(Stored(TransactionState.Ongoing, Last));
        Assert.Equal(ErrorCode.ConcurrentTransactions, host.Init().Error);
        Assert.Equal(short.MaxValue, Assert.Single(host.TakeMarkers()).ProducerEpoch);
        host.Restart();
        host.AnswerAll();
        Assert.Equal(TransactionState.CompleteAbort, host.Machine.State);
        Assert.Equal(ErrorCode.ProducerFenced, host.Add(7, short.MaxValue, P(0)));
        Assert.Equal(ErrorCode.ProducerFenced, host.End(7, short.MaxValue, commit: false, 2)!.Value.Error);

        // The first coordinator had an id in reserve, which is lost with it.
        Assert.Equal(Given(ErrorCode.None, 101, 0), host.Init());
    }

    [Fact]
    public void A_transaction_that_ends_with_the_last_epoch_gives_another_id()
    {
        var host = new TransactionHost(Stored(TransactionState.Ongoing, Last));
        Assert.Equal(Given(ErrorCode.None, 100, 0), host.End(7, Last, commit: true, 2)!.Value);
        Assert.Equal(ErrorCode.ConcurrentTransactions, host.End(7, Last, commit: true, 2)!.Value.Error);
        Assert.Equal(ErrorCode.ConcurrentTransactions, host.End(100, 0, commit: false, 2)!.Value.Error);

        host.Restart();
        MarkerToSend marker = Assert.Single(host.TakeMarkers());
        Assert.Equal((7L, short.MaxValue, true), (marker.ProducerId, marker.ProducerEpoch, marker.IsCommit));
        host.Answer(marker);
        Assert.Equal(Given(ErrorCode.None, 100, 0), host.End(7, Last, commit: true, 2)!.Value);
        Assert.Equal(ErrorCode.None, host.Add(100, 0, P(0)));
        Assert.Equal(ErrorCode.InvalidProducerIdMapping, host.End(7, Last, commit: true, 2)!.Value.Error);
    }

    [Fact]
    public void A_transaction_cannot_end_with_the_last_epoch_while_there_is_no_other_id()
    {
        var host = new TransactionHost(Stored(TransactionState.Ongoing, Last)) { HoldProducerIds = true };
        Assert.Equal(Given(ErrorCode.CoordinatorLoadInProgress, -1, -1), host.End(7, Last, commit: true, 2)!.Value);
        Assert.Equal(TransactionState.Ongoing, host.Machine.State);
        Assert.Equal(Given(ErrorCode.None, 7, Last), host.End(7, Last, commit: true, 0)!.Value);
    }
}
