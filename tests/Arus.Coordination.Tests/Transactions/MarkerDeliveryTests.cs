using static Arus.Coordination.Tests.Transactions.TransactionHost;

namespace Arus.Coordination.Tests.Transactions;

/// <summary>Every participant is told, however often that takes, and what comes late of one attempt ends nothing else.</summary>
public sealed class MarkerDeliveryTests
{
    private readonly TransactionHost _host = new();

    public MarkerDeliveryTests()
    {
        _host.Init();
        _host.Add(100, 0, P(0), P(1));
        _host.End(100, 0, commit: true, 0);
    }

    [Fact]
    public void A_marker_that_was_refused_is_sent_again_later_and_later()
    {
        MarkerToSend[] markers = _host.TakeMarkers();
        _host.Answer(markers[1]);
        int writes = _host.Writes;
        MarkerToSend marker = markers[0];
        var waits = new List<long>();
        for (int attempt = 0; attempt < 12; attempt++)
        {
            _host.Answer(marker, MarkerOutcome.Refused);
            Assert.Empty(_host.TakeMarkers());
            waits.Add(_host.Deadline - _host.Now);
            _host.AdvanceBy(waits[^1]);
            marker = Assert.Single(_host.TakeMarkers());
            Assert.Equal(markers[0].Participant, marker.Participant);
        }

        Assert.Equal([20, 40, 80, 160, 320, 640, 1_280, 2_560, 5_000, 5_000, 5_000, 5_000], waits);
        Assert.Equal((0, writes), (marker.CoordinatorEpoch, _host.Writes));
        _host.Answer(marker);
        Assert.Equal(TransactionState.CompleteCommit, _host.Machine.State);
    }

    [Fact]
    public void A_marker_whose_fate_is_unknown_is_sent_again_in_a_later_coordinator_epoch_once_that_is_durable()
    {
        MarkerToSend[] markers = _host.TakeMarkers();
        _host.Answer(markers[0], MarkerOutcome.Unknown);
        _host.HoldWrites = true;
        _host.AdvanceBy(20);
        Assert.Empty(_host.TakeMarkers());
        _host.CompleteWrite();
        MarkerToSend again = Assert.Single(_host.TakeMarkers());
        Assert.Equal((markers[0].Participant, 1, 1), (again.Participant, again.CoordinatorEpoch, _host.StoredEpoch));

        // The outcome of the first attempt does not count any more, nor does one that is told twice.
        _host.Answer(markers[0]);
        _host.Answer(markers[1]);
        _host.Answer(markers[1]);
        Assert.Equal(TransactionState.PrepareCommit, _host.Machine.State);
        _host.Answer(again);
        Assert.Equal(TransactionState.CompleteCommit, _host.Machine.State);
    }

    [Fact]
    public void The_next_coordinator_has_an_epoch_that_no_marker_was_sent_in()
    {
        _host.Answer(_host.TakeMarkers()[0], MarkerOutcome.Unknown);
        _host.AdvanceBy(20);
        Assert.Equal(1, Assert.Single(_host.TakeMarkers()).CoordinatorEpoch);
        _host.Restart();
        Assert.All(_host.TakeMarkers(), marker => Assert.Equal(2, marker.CoordinatorEpoch));
    }

    [Fact]
    public void A_bounded_number_of_markers_is_under_way()
    {
        var host = new TransactionHost();
        host.Init();
        host.Add(100, 0, [.. Enumerable.Range(0, 200).Select(i => P(i))]);
        host.End(100, 0, commit: true, 0);
        int told = 0;
        while (host.Machine.State == TransactionState.PrepareCommit)
        {
            MarkerToSend[] some = host.TakeMarkers();
            Assert.InRange(some.Length, 1, 64);
            told += some.Length;
            Array.ForEach(some, marker => host.Answer(marker));
        }

        Assert.Equal(200, told);
    }

    [Fact]
    public void That_a_transaction_is_complete_is_stored_with_the_next_change()
    {
        int writes = _host.Writes;
        _host.AnswerAll();
        Assert.Equal((writes, TransactionState.PrepareCommit), (_host.Writes, (TransactionState)_host.Stored!.State));
        _host.Add(100, 0, P(0));
        Assert.Equal((writes + 1, TransactionState.Ongoing), (_host.Writes, (TransactionState)_host.Stored!.State));
        Assert.True(_host.Machine.State == TransactionState.Ongoing && !_host.Machine.IsIdle);
    }

    [Fact]
    public void That_a_transaction_is_complete_is_stored_in_a_while_by_itself()
    {
        _host.AnswerAll();
        _host.AdvanceBy(TransactionCoordinator.CompletionDelayMs - 1);
        Assert.Equal(TransactionState.PrepareCommit, (TransactionState)_host.Stored!.State);
        _host.AdvanceBy(1);
        Assert.Equal(TransactionState.CompleteCommit, (TransactionState)_host.Stored!.State);
        Assert.True(_host.Machine.IsIdle);
    }

    [Fact]
    public void What_was_complete_and_not_stored_is_told_once_more()
    {
        _host.AnswerAll();
        _host.Restart();
        MarkerToSend[] again = _host.TakeMarkers();
        Assert.Equal(2, again.Length);
        Array.ForEach(again, marker => _host.Answer(marker));
        Assert.Equal(TransactionState.CompleteCommit, _host.Machine.State);
    }
}
