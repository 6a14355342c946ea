using Arus.Protocol;
using static Arus.Coordination.Tests.Transactions.TransactionHost;

namespace Arus.Coordination.Tests.Transactions;

/// <summary>The life of a transaction, under both versions of the protocol.</summary>
public sealed class TransactionTests
{
    private readonly TransactionHost _host = new();

    [Theory]
    [InlineData(true, 0)]
    [InlineData(false, 0)]
    [InlineData(true, 2)]
    [InlineData(false, 2)]
    public void A_transaction_ends_when_every_participant_has_been_told(bool commit, short version)
    {
        _host.Init();
        Assert.Equal(ErrorCode.None, _host.Add(100, 0, P(0), P(1)));
        Assert.Equal(ErrorCode.None, _host.Add(100, 0, TransactionParticipant.Group("g")));
        Assert.Equal("Ongoing", _host.Description.TransactionState);
        Assert.Equal([0, 1], Assert.Single(_host.Description.Topics).Partitions);

        short ended = (short)(version == 2 ? 1 : 0);
        Assert.Equal(Given(ErrorCode.None, 100, ended), _host.End(100, 0, commit, version)!.Value);
        MarkerToSend[] markers = _host.TakeMarkers();
        Assert.Equal([("t", 0), ("t", 1), ("g", -1)], markers.Select(one => (one.Participant.Name, one.Participant.Partition)));
        Assert.All(markers, one => Assert.Equal(
            (100L, ended, commit, version), (one.ProducerId, one.ProducerEpoch, one.IsCommit, one.TransactionVersion)));
        _host.Answer(markers[0]);
        _host.Answer(markers[2]);
        Assert.Equal(commit ? "PrepareCommit" : "PrepareAbort", _host.Description.TransactionState);
        _host.Answer(markers[1]);
        Assert.Equal(commit ? "CompleteCommit" : "CompleteAbort", _host.Description.TransactionState);
        Assert.Empty(_host.Description.Topics);

        Assert.Equal(ErrorCode.None, _host.Add(100, ended, P(0)));
        Assert.Equal([0], Assert.Single(_host.Description.Topics).Partitions);
    }

    [Fact]
    public void Nothing_is_answered_or_sent_before_it_is_durable()
    {
        _host.Init();
        _host.HoldWrites = true;
        long add = _host.BeginAdd(100, 0, P(0));
        Assert.Null(_host.ReplyTo(add));
        Assert.Null(_host.Verify(100, 0, P(0)));
        _host.CompleteWrite();
        Assert.Equal(ErrorCode.None, _host.ReplyTo(add));

        Assert.Null(_host.End(100, 0, commit: true, 0));
        Assert.Empty(_host.TakeMarkers());
        _host.CompleteWrite();
        Assert.Single(_host.TakeMarkers());
    }

    [Fact]
    public void A_decision_that_was_not_durable_was_never_made()
    {
        _host.Init();
        _host.Add(100, 0, P(0));
        _host.HoldWrites = true;
        Assert.Null(_host.End(100, 0, commit: true, 0));
        _host.HoldWrites = false;
        _host.Restart();
        Assert.Equal(TransactionState.Ongoing, _host.Machine.State);
        Assert.Equal(ErrorCode.None, _host.End(100, 0, commit: false, 0)!.Value.Error);
        Assert.False(Assert.Single(_host.TakeMarkers()).IsCommit);
    }

    [Fact]
    public void A_decision_that_is_durable_is_carried_out_by_the_next_coordinator_with_its_epoch()
    {
        _host.Init();
        _host.Add(100, 0, P(0), P(1));
        _host.End(100, 0, commit: true, 0);
        MarkerToSend[] first = _host.TakeMarkers();
        _host.Answer(first[0]);
        _host.Restart();

        MarkerToSend[] again = _host.TakeMarkers();
        Assert.Equal(2, again.Length);
        Assert.All(again, marker => Assert.Equal((true, 1), (marker.IsCommit, marker.CoordinatorEpoch)));
        Assert.All(first, marker => Assert.Equal(0, marker.CoordinatorEpoch));
        Array.ForEach(again, marker => _host.Answer(marker));
        Assert.Equal(TransactionState.CompleteCommit, _host.Machine.State);
    }

    [Fact]
    public void An_end_that_is_repeated_is_answered_as_the_first_and_the_opposite_is_refused()
    {
        _host.Init();
        Assert.Equal(ErrorCode.InvalidTxnState, _host.End(100, 0, commit: true, 0)!.Value.Error);
        Assert.Equal(ErrorCode.InvalidTxnState, _host.End(100, 0, commit: false, 0)!.Value.Error);
        _host.Add(100, 0, P(0));
        _host.End(100, 0, commit: true, 0);
        Assert.Equal(ErrorCode.ConcurrentTransactions, _host.End(100, 0, commit: true, 0)!.Value.Error);
        Assert.Equal(ErrorCode.InvalidTxnState, _host.End(100, 0, commit: false, 0)!.Value.Error);
        _host.AnswerAll();
        Assert.Equal(ErrorCode.None, _host.End(100, 0, commit: true, 0)!.Value.Error);
        Assert.Equal(ErrorCode.InvalidTxnState, _host.End(100, 0, commit: false, 0)!.Value.Error);
    }

    [Fact]
    public void With_the_epoch_raised_an_end_that_is_repeated_is_told_from_the_next_one()
    {
        _host.Init();
        Assert.Equal(ErrorCode.InvalidTxnState, _host.End(100, 0, commit: true, 2)!.Value.Error);
        _host.Add(100, 0, P(0));
        _host.End(100, 0, commit: true, 2);
        Assert.Equal(ErrorCode.ConcurrentTransactions, _host.End(100, 0, commit: true, 2)!.Value.Error);
        Assert.Equal(ErrorCode.InvalidTxnState, _host.End(100, 0, commit: false, 2)!.Value.Error);
        Assert.Equal(ErrorCode.ConcurrentTransactions, _host.End(100, 1, commit: false, 2)!.Value.Error);
        Assert.Equal(ErrorCode.ProducerFenced, _host.End(100, 5, commit: false, 2)!.Value.Error);
        _host.AnswerAll();
        Assert.Equal(Given(ErrorCode.None, 100, 1), _host.End(100, 0, commit: true, 2)!.Value);
        Assert.Equal(ErrorCode.InvalidTxnState, _host.End(100, 0, commit: false, 2)!.Value.Error);
        Assert.Equal(ErrorCode.InvalidTxnState, _host.End(100, 1, commit: true, 2)!.Value.Error);

        // A transaction without participants may be aborted, since a producer does not know whether its records arrived.
        Assert.Equal(Given(ErrorCode.None, 100, 2), _host.End(100, 1, commit: false, 2)!.Value);
        Assert.Equal(Given(ErrorCode.None, 100, 2), _host.End(100, 1, commit: false, 2)!.Value);
        Assert.Equal((TransactionState.CompleteAbort, TransactionState.CompleteAbort), (
            _host.Machine.State, (TransactionState)_host.Stored!.State));
        Assert.Empty(_host.TakeMarkers());
    }

    [Fact]
    public void A_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced()
    {
        _host.Init();
        _host.AdvanceBy(TimeoutMs);
        _host.Add(100, 0, P(0));
        _host.AdvanceBy(TimeoutMs - 1);
        Assert.Equal(TransactionState.Ongoing, _host.Machine.State);
        _host.AdvanceBy(1);
        Assert.Equal(TransactionState.PrepareAbort, _host.Machine.State);
        MarkerToSend marker = Assert.Single(_host.TakeMarkers());
        Assert.Equal(((short)1, false), (marker.ProducerEpoch, marker.IsCommit));
        _host.Answer(marker);

        Assert.Equal(ErrorCode.ProducerFenced, _host.End(100, 0, commit: true, 0)!.Value.Error);
        Assert.Equal(ErrorCode.ProducerFenced, _host.End(100, 0, commit: false, 2)!.Value.Error);
        Assert.Equal(ErrorCode.ProducerFenced, _host.Add(100, 0, P(0)));
        Assert.Equal(ErrorCode.ProducerFenced, _host.Init(100, 0).Error);
        Assert.Equal(Given(ErrorCode.None, 100, 2), _host.Init());
    }

    [Fact]
    public void A_transaction_whose_time_passed_while_nobody_coordinated_is_aborted_at_once()
    {
        _host.Init();
        _host.Add(100, 0, P(0));
        long end = _host.Now + TimeoutMs;
        var later = new TransactionHost(_host.Stored);
        later.AdvanceBy(end - later.Now);
        Assert.Equal(TransactionState.PrepareAbort, later.Machine.State);
    }

    [Fact]
    public void What_begins_a_transaction_is_told_to_try_again_while_the_one_before_ends()
    {
        _host.Init();
        _host.Add(100, 0, P(0));
        _host.End(100, 0, commit: true, 2);
        Assert.Equal(ErrorCode.ConcurrentTransactions, _host.Add(100, 1, P(1)));
        Assert.Equal(ErrorCode.ConcurrentTransactions, _host.Verify(100, 1, P(1)));
        _host.AnswerAll();
        Assert.Equal(ErrorCode.ProducerFenced, _host.Add(100, 0, P(1)));
        Assert.Equal(ErrorCode.None, _host.Add(100, 1, P(1)));
        Assert.Equal([1], Assert.Single(_host.Description.Topics).Partitions);
    }

    [Fact]
    public void Only_participants_of_the_open_transaction_are_verified()
    {
        Assert.Equal(ErrorCode.InvalidProducerIdMapping, _host.Verify(100, 0, P(0)));
        _host.Init();
        Assert.Equal(ErrorCode.TransactionAbortable, _host.Verify(100, 0, P(0)));
        _host.Add(100, 0, P(0), TransactionParticipant.Group("g"));
        Assert.Equal(ErrorCode.None, _host.Verify(100, 0, P(0), TransactionParticipant.Group("g")));
        Assert.Equal(ErrorCode.TransactionAbortable, _host.Verify(100, 0, P(0), P(1)));
        Assert.Equal(ErrorCode.TransactionAbortable, _host.Verify(100, 0, TransactionParticipant.Group("h")));
        Assert.Equal(ErrorCode.ProducerFenced, _host.Verify(100, 1, P(0)));
        Assert.Equal(ErrorCode.InvalidProducerIdMapping, _host.Verify(101, 0, P(0)));
    }

    [Fact]
    public void A_partition_is_of_the_topic_that_has_the_id_and_without_one_the_name_counts()
    {
        var first = new TransactionParticipant("t", 0, Guid.Parse("00000000-0000-0000-0000-000000000001"));
        TransactionParticipant second = first with { TopicId = Guid.Parse("00000000-0000-0000-0000-000000000002") };
        TransactionParticipant named = first with { TopicId = Guid.Empty };
        _host.Init();
        _host.Add(100, 0, first);
        Assert.Equal(ErrorCode.TransactionAbortable, _host.Verify(100, 0, second));
        Assert.Equal(ErrorCode.None, _host.Verify(100, 0, named));
        _host.Add(100, 0, second);
        _host.Add(100, 0, named);
        _host.End(100, 0, commit: true, 0);
        Assert.Equal([first, second], _host.TakeMarkers().Select(marker => marker.Participant));
    }

    [Fact]
    public void An_addition_of_what_takes_part_already_writes_nothing()
    {
        _host.Init();
        _host.Add(100, 0, P(0));
        int writes = _host.Writes;
        Assert.Equal(ErrorCode.None, _host.Add(100, 0, P(0)));
        Assert.Equal(writes, _host.Writes);
    }

    [Fact]
    public void More_participants_than_the_limit_are_refused()
    {
        TransactionParticipant[] all = [.. Enumerable.Range(0, TransactionCoordinator.MaxParticipants).Select(i => P(i))];
        _host.Init();
        Assert.Equal(ErrorCode.None, _host.Add(100, 0, all));
        Assert.Equal(ErrorCode.InvalidRequest, _host.Add(100, 0, P(0, "u")));
        Assert.Equal(ErrorCode.None, _host.Add(100, 0, all[^1]));
    }

    [Fact]
    public void An_id_without_transactions_is_forgotten_in_the_end()
    {
        _host.Init();
        _host.Add(100, 0, P(0));
        _host.End(100, 0, commit: true, 0);
        _host.AnswerAll();
        long sevenDays = new TransactionOptions(BrokerConfig.Default).IdExpirationMs;
        _host.AdvanceBy(sevenDays - 1);
        Assert.Equal((TransactionState.CompleteCommit, ErrorCode.None), (_host.Machine.State, _host.Description.ErrorCode));
        _host.AdvanceBy(1);
        Assert.Equal((TransactionState.Dead, ErrorCode.TransactionalIdNotFound), (_host.Machine.State, _host.Description.ErrorCode));
        Assert.Null(_host.Stored);
        Assert.Equal(Given(ErrorCode.None, 101, 0), _host.Init());
    }
}
