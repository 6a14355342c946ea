using Arus.Coordination.Replication;
using Arus.Protocol;

namespace Arus.Coordination.Tests.Replication;

/// <summary>
/// The follower's side: where a session cuts its log, and which pushes it takes. Broker 2 follows; the test speaks for the leaders.
/// </summary>
public sealed class SessionTests
{
    private readonly TestCluster _cluster;
    private readonly PartitionId _id;
    private readonly TestLog _log = new();
    private ReplicaSessionResponse.OpenedSession? _opened;

    public SessionTests()
    {
        _cluster = new TestCluster(3);
        _id = _cluster.Create([1, 2, 3]);
        _cluster.Store.Put(_cluster.Store[_id] with { LeaderEpoch = 2, Leader = 1, Isr = [new ReplicaId(1, Guid.NewGuid())] });
        _cluster[2].Logs.Add(_id, _log);
    }

    private TestBroker Follower => _cluster[2];

    private ReplicationEffect.Prepare? LastPrepare => Follower.Effects.OfType<ReplicationEffect.Prepare>().LastOrDefault();

    [Fact]
    public void A_log_that_goes_beyond_the_leaders_epoch_is_cut_where_the_epoch_ends()
    {
        // KIP-101: the follower has uncommitted records of epoch 1 that the leader of epoch 2 never got.
        Given((0, 50), (1, 50));
        Open(epoch: 2, end: 90, (0, 0), (1, 50), (2, 80));

        Assert.Equal(80, LastPrepare!.TruncateTo);
        Assert.Equal(80, _opened!.Value.LogEndOffset);
    }

    [Fact]
    public void Equal_ends_with_other_histories_are_told_apart()
    {
        // KIP-279: both end at 100, but 90 to 100 were written by different leaders.
        Given((0, 90), (1, 10));
        Open(epoch: 3, end: 100, (0, 0), (2, 90));

        Assert.Equal(90, _opened!.Value.LogEndOffset);
    }

    [Fact]
    public void Histories_that_parted_more_than_once_are_cut_at_the_last_common_record()
    {
        Given((0, 10), (2, 10), (3, 10));
        Open(epoch: 7, end: 60, (0, 0), (1, 5), (2, 15), (5, 18));

        // Epoch 2 is common from 15 on, and ends at 18 with the leader.
        Assert.Equal(18, _opened!.Value.LogEndOffset);
    }

    [Fact]
    public void Nothing_in_common_cuts_all()
    {
        Given((1, 10));
        Open(epoch: 3, end: 10, (2, 0));

        Assert.Equal(0, _opened!.Value.LogEndOffset);
    }

    [Fact]
    public void A_log_that_ends_below_the_leaders_start_begins_afresh_there_with_another_id()
    {
        Given((0, 10));
        Guid former = _log.LogId;
        Open(epoch: 2, end: 90, logStart: 40, (0, 0), (2, 60));

        Assert.Equal((40, true), (LastPrepare!.RestartAt, LastPrepare.RenewLogId));
        Assert.Equal(40, _opened!.Value.LogEndOffset);
        Assert.NotEqual(former, _opened.Value.LogId);
    }

    [Fact]
    public void A_new_log_begins_at_the_leaders_start_and_keeps_its_id()
    {
        Guid id = _log.LogId;
        Open(epoch: 2, end: 90, logStart: 40, (2, 60));

        Assert.Equal((40, id), (_opened!.Value.LogEndOffset, _opened.Value.LogId));
    }

    [Fact]
    public void A_session_that_is_told_again_late_cuts_off_nothing_that_came_in_between()
    {
        Given((1, 10));
        Open(epoch: 2, end: 10, (1, 0), (2, 10));
        long first = _opened!.Value.Opening;
        Assert.Equal(ErrorCode.None, Push(10, 10, epoch: 2));
        Assert.Equal(20, _log.DurableEndOffset);

        Open(epoch: 2, end: 10, (1, 0), (2, 10));

        Assert.Equal(20, _opened!.Value.LogEndOffset);
        Assert.NotEqual(first, _opened.Value.Opening);
    }

    [Fact]
    public void A_session_of_a_former_life_is_not_taken_for_one_of_this_life()
    {
        Open(epoch: 2, end: 0, (2, 0));
        long former = _opened!.Value.Opening;
        Follower.Stop();
        _cluster.Start(2);
        _cluster.Run(20);
        Open(epoch: 2, end: 0, (2, 0));

        Assert.NotEqual(former, _opened!.Value.Opening);
        Assert.Equal(ErrorCode.InvalidFetchSessionEpoch, Push(0, 1, epoch: 2, opening: former));
    }

    [Fact]
    public void The_fence_is_durable_before_a_session_is_open_and_older_leaders_are_refused_at_once()
    {
        Open(epoch: 5, end: 0, (5, 0));
        Assert.Equal(5, _log.FencedEpoch);

        Open(epoch: 4, end: 0, (4, 0));

        Assert.Equal((ErrorCode.FencedLeaderEpoch, 5), (_opened!.Value.ErrorCode, _opened.Value.LeaderEpoch));
        Assert.Equal(ErrorCode.FencedLeaderEpoch, Push(0, 1, epoch: 4));
    }

    [Fact]
    public void Of_two_brokers_that_claim_an_epoch_the_one_that_the_state_names_is_followed()
    {
        Start();
        _opened = null;
        ReceiveSession(from: 3, Opening(2, 0, 0, (2, 0)));
        Assert.Equal(ErrorCode.FencedLeaderEpoch, _opened!.Value.ErrorCode);
    }

    [Fact]
    public void A_session_waits_for_the_append_that_is_under_way()
    {
        Open(epoch: 2, end: 0, (2, 0));
        Follower.HoldsAppends = true;
        Push(0, 3, epoch: 2);
        _opened = null;

        ReceiveSession(from: 3, Opening(3, 0, 0, (2, 0), (3, 1)));
        _cluster.Run(50);
        Assert.Null(_opened);
        Assert.Equal(2, LastPrepare!.Epoch);

        Follower.Held[0]();
        _cluster.Run(10);
        Assert.Equal((3, 1), (_log.FencedEpoch, _opened!.Value.LogEndOffset));
    }

    [Fact]
    public void A_push_is_refused_unless_it_follows_the_end_in_the_current_session()
    {
        Given((2, 10));
        Start();
        Assert.Equal(ErrorCode.InvalidFetchSessionEpoch, Push(10, 1, epoch: 2));
        Open(epoch: 2, end: 10, (2, 0));

        Assert.Equal(ErrorCode.OffsetOutOfRange, Push(9, 1, epoch: 2));
        Assert.Equal(ErrorCode.OffsetOutOfRange, Push(11, 1, epoch: 2));
        Assert.Equal(ErrorCode.InvalidFetchSessionEpoch, Push(10, 1, epoch: 3));
        Assert.Equal(ErrorCode.InvalidFetchSessionEpoch, Push(10, 1, epoch: 2, opening: _opened!.Value.Opening + 1));
        Assert.Equal(ErrorCode.None, Push(10, 1, epoch: 2));
        Assert.Equal(11, _log.DurableEndOffset);
    }

    [Fact]
    public void A_follower_shows_its_readers_no_more_than_it_has()
    {
        Open(epoch: 2, end: 0, (2, 0));
        Assert.Equal(ErrorCode.None, Push(0, 5, epoch: 2, highWatermark: 100));
        Assert.Equal(5, _log.HighWatermark);
    }

    [Fact]
    public void A_follower_keeps_at_least_its_leaders_log_start()
    {
        Open(epoch: 2, end: 0, (2, 0));
        Push(0, 5, epoch: 2, highWatermark: 5);
        Push(5, 0, epoch: 2, highWatermark: 5, logStart: 3);
        Assert.Equal(3, _log.LogStartOffset);
    }

    [Fact]
    public void A_lease_is_granted_to_the_present_life_of_a_member_only()
    {
        Start();
        Assert.True(Heartbeat(life: _cluster[1].Life));
        Assert.False(Heartbeat(life: _cluster[1].Life - 1));
        _cluster.TellMembership(Follower, 1);
        Assert.False(Heartbeat(life: _cluster[1].Life));
    }

    [Fact]
    public void A_log_that_failed_refuses_what_was_under_way_and_what_comes()
    {
        Open(epoch: 2, end: 0, (2, 0));
        Follower.HoldsAppends = true;
        Follower.FailsToOpen = true;
        ErrorCode? error = null;
        SendPush(0, 3, 2, _opened!.Value.Opening, 0, 0, result => error = result);
        Follower.FailLog(_id);
        _cluster.Run(5);
        Assert.Equal(ErrorCode.KafkaStorageError, error);
        Assert.Equal(ErrorCode.ReplicaNotAvailable, Push(0, 1, epoch: 2));
    }

    private void Given(params (int Epoch, int Count)[] records)
    {
        long number = 0;
        foreach ((int epoch, int count) in records)
            _log.Append(Enumerable.Range(0, count).Select(_ => new TestRecord(epoch, ++number)));
    }

    /// <summary>Only the follower's process runs; the others are members.</summary>
    private void Start()
    {
        if (Follower.IsUp)
            return;

        _cluster.StartAll();
        _cluster[1].Stop();
        _cluster[3].Stop();
        _cluster.Run(20);
    }

    private void Open(int epoch, long end, params (int Epoch, long Start)[] epochs) => Open(epoch, end, 0, epochs);

    private void Open(int epoch, long end, long logStart, params (int Epoch, long Start)[] epochs)
    {
        Start();
        _opened = null;
        ReceiveSession(epoch == 2 ? 1 : 3, Opening(epoch, end, logStart, epochs));
        _cluster.Run(10);
        Assert.NotNull(_opened);
    }

    private void ReceiveSession(int from, ReplicaSessionRequest.SessionOpening opening) =>
        Follower.ReceiveSessions(from, new ReplicaSessionRequest { Sessions = [opening] }, response => _opened = response!.Sessions[0]);

    private ReplicaSessionRequest.SessionOpening Opening(
        int epoch, long end, long logStart, params (int Epoch, long Start)[] epochs) => new()
    {
        TopicId = _id.TopicId,
        PartitionIndex = _id.Partition,
        LeaderEpoch = epoch,
        LogEndOffset = end,
        LogStartOffset = logStart,
        Epochs = [.. epochs.Select(pair => new ReplicaSessionRequest.SessionEpoch { Epoch = pair.Epoch, StartOffset = pair.Start })],
    };

    private ErrorCode? Push(long previousEnd, int count, int epoch, long? opening = null, long highWatermark = 0, long logStart = 0)
    {
        ErrorCode? error = null;
        SendPush(previousEnd, count, epoch, opening ?? _opened?.Opening ?? 0, highWatermark, logStart, result => error = result);
        _cluster.Run(10);
        return error;
    }

    private void SendPush(
        long previousEnd, int count, int epoch, long opening, long highWatermark, long logStart, Action<ErrorCode> answered)
    {
        TestRecord[] records = [.. Enumerable.Range(0, count).Select(i => new TestRecord(epoch, 1_000 + previousEnd + i))];
        var request = new ReplicaPushRequest
        {
            SenderLife = _cluster[1].Life,
            Partitions =
            [
                new()
                {
                    TopicId = _id.TopicId, PartitionIndex = _id.Partition, LeaderEpoch = epoch, Opening = opening,
                    PreviousEndOffset = previousEnd, HighWatermark = highWatermark, LogStartOffset = logStart,
                    SegmentCount = count > 0 ? 1 : 0,
                },
            ],
        };
        Follower.ReceivePush(1, request, [records], response => answered(response!.Partitions[0].ErrorCode));
    }

    private bool Heartbeat(long life)
    {
        bool? granted = null;
        Follower.ReceivePush(1, new ReplicaPushRequest { SenderLife = life }, [], response => granted = response!.IsLeaseGranted);
        return granted!.Value;
    }
}
