using Arus.Protocol;

namespace Arus.Coordination.Replication;

/// <summary>
/// Gathers what is to go to each broker into calls. Partitions are queued as they change, and a call takes all that have gathered while it
/// waited for its turn: many trickling partitions cost few calls.
/// </summary>
internal sealed class PushScheduler(ReplicationContext context)
{
    /// <summary>A few heartbeats may be lost, or late, however short the time is after which a replica lags.</summary>
    private const int MinSilentHeartbeats = 3;

    private readonly CatchUps _catchUps = new(context);
    private readonly List<Peer> _scheduled = [];
    private readonly Dictionary<long, SentPush> _pushes = [];
    private readonly Dictionary<long, SentSessions> _sessions = [];
    private readonly List<FollowerLink?> _links = [];
    private readonly List<ReplicaPushRequest.PushedPartition> _partitions = [];
    private long _lastCall;

    public void QueueSession(FollowerLink link)
    {
        link.Phase = LinkPhase.Queued;
        link.Peer.SessionQueue.Enqueue(link);
        Schedule(link.Peer);
    }

    public void QueueData(FollowerLink link)
    {
        DataTurn turn = CatchUps.IsCatchingUp(link) ? DataTurn.CatchUp : DataTurn.InSync;
        if (link.DataTurn >= turn)
            return;

        link.DataTurn = turn;
        (turn == DataTurn.CatchUp ? link.Peer.CatchUpQueue : link.Peer.DataQueue).Enqueue(link);
        Schedule(link.Peer);
    }

    public void QueueWatermark(FollowerLink link)
    {
        if (link.IsWatermarkQueued)
            return;

        Peer peer = link.Peer;
        link.IsWatermarkQueued = true;
        peer.WatermarkQueue.Enqueue(link);
        peer.WatermarkDueMs = Math.Min(peer.WatermarkDueMs, context.NowMs + context.Options.HighWatermarkDelayMs);
        context.Timers.Arm(peer, peer.WatermarkDueMs);
        Schedule(peer);
    }

    /// <summary>Tells a broker that this one gives up a leadership.</summary>
    public void QueueResignation(Peer peer, Replica replica, int epoch)
    {
        peer.Resignations.Enqueue(new ReplicaPushRequest.PushedPartition
        {
            TopicId = replica.Id.TopicId,
            PartitionIndex = replica.Id.Partition,
            LeaderEpoch = epoch,
            PreviousEndOffset = -1,
            IsResigned = true,
        });
        Schedule(peer);
    }

    /// <summary>Sends what is due to a peer: a heartbeat if no push was answered for a while.</summary>
    public void Due(Peer peer)
    {
        if (peer.IsLive && peer.SharedPartitions > 0 && context.Peers.IsSelfLive)
        {
            long dueMs = Math.Max(peer.AnsweredSendMs, peer.HeartbeatSentMs) + context.Options.HeartbeatMs;
            if (context.NowMs >= dueMs)
            {
                CountSilence(peer);
                peer.HeartbeatSentMs = context.NowMs;
                Send(peer, PushKind.Heartbeat);
                dueMs = context.NowMs + context.Options.HeartbeatMs;
            }

            CheckIdle(peer);
            context.Timers.Arm(peer, dueMs);
        }

        bool isEarly = peer.WatermarkDueMs > context.NowMs && peer.WatermarkDueMs < long.MaxValue;
        if (isEarly)
            context.Timers.Arm(peer, peer.WatermarkDueMs);

        if (!isEarly || peer.CatchUpQueue.Count > 0)
            Schedule(peer);
    }

    /// <summary>
    /// A follower whose log was opened again has no session any more, and would hear of nothing until something is appended: now and
    /// then an idle one is told again what it was told last.
    /// </summary>
    private void CheckIdle(Peer peer)
    {
        int intervalMs = Math.Max(context.Options.HeartbeatMs, context.Options.LagTimeMaxMs / 2);
        if (context.NowMs < peer.IdleCheckedMs + intervalMs)
            return;

        peer.IdleCheckedMs = context.NowMs;
        foreach (FollowerLink link in LinksTo(peer))
        {
            if (link is { IsOpen: true, IsPushing: false } && link.PushedAtMs <= context.NowMs - intervalMs)
                QueueWatermark(link);
        }
    }

    /// <summary>Whoever leads with a follower there has to look whether it stays in sync.</summary>
    private void CountSilence(Peer peer)
    {
        int patience = Math.Max(MinSilentHeartbeats, context.Options.LagTimeMaxMs / context.Options.HeartbeatMs);
        if (peer.UnansweredHeartbeats++ < patience || peer.IsSilent)
            return;

        peer.IsSilent = true;
        foreach (FollowerLink link in LinksTo(peer))
            context.Touch(link.Replica);
    }

    private IEnumerable<FollowerLink> LinksTo(Peer peer) =>
        context.Replicas.Values.Select(replica => replica.Leadership?.Link(peer.BrokerId)).OfType<FollowerLink>();

    /// <param name="caughtUpBytes">What went to replicas that are not in sync; -1 if that is not known.</param>
    public SentPush? TakePush(long call, int caughtUpBytes)
    {
        if (!_pushes.Remove(call, out SentPush? sent))
            return null;

        if (sent.CatchUpBytes > 0)
        {
            sent.Peer.IsCatchUpInFlight = false;
            if (caughtUpBytes >= 0)
                context.CatchUp.Settle(sent.CatchUpBytes, caughtUpBytes);
        }

        if (sent.Kind == PushKind.Data)
            sent.Peer.PushesInFlight--;
        else if (sent.Kind == PushKind.Watermarks)
            sent.Peer.IsWatermarkCallInFlight = false;

        Schedule(sent.Peer);
        return sent;
    }

    public SentSessions? TakeSessions(long call)
    {
        if (!_sessions.Remove(call, out SentSessions? sent))
            return null;

        sent.Peer.SessionsInFlight--;
        Schedule(sent.Peer);
        return sent;
    }

    /// <summary>Makes calls of all that is queued and may go.</summary>
    public void Flush()
    {
        if (!context.Peers.IsSelfLive)
            return;

        foreach (Peer peer in _scheduled)
        {
            peer.IsScheduled = false;
            while (peer.SessionsInFlight < context.Options.MaxPushesInFlight && peer.SessionQueue.Count > 0)
                SendSessions(peer);

            while (peer.PushesInFlight < context.Options.MaxPushesInFlight
                && (peer.DataQueue.Count > 0 || peer.Resignations.Count > 0 || _catchUps.MayGo(peer)))
            {
                SendData(peer);
            }

            if (!peer.IsWatermarkCallInFlight && context.NowMs >= peer.WatermarkDueMs)
                SendWatermarks(peer);
        }

        _scheduled.Clear();
    }

    private void Schedule(Peer peer)
    {
        if (peer.IsScheduled)
            return;

        peer.IsScheduled = true;
        _scheduled.Add(peer);
    }

    private void SendSessions(Peer peer)
    {
        var links = new List<FollowerLink>();
        while (links.Count < context.Options.MaxPartitionsInCall && peer.SessionQueue.TryDequeue(out FollowerLink? link))
        {
            if (link.IsOver || link.Phase != LinkPhase.Queued)
                continue;

            if (peer.IsLive)
                links.Add(link);
            else
                link.Phase = LinkPhase.Idle;
        }

        if (links.Count == 0)
            return;

        long call = ++_lastCall;
        foreach (FollowerLink link in links)
        {
            link.Phase = LinkPhase.Opening;
            link.Call = call;
        }

        peer.SessionsInFlight++;
        _sessions.Add(call, new SentSessions(peer, [.. links]));
        var request = new ReplicaSessionRequest { Sessions = [.. links.Select(SessionMessages.Opening)] };
        context.Emit(new ReplicationEffect.SendSessions(call, peer.BrokerId, request));
    }

    private void SendData(Peer peer)
    {
        while (_partitions.Count < context.Options.MaxPartitionsInCall && peer.Resignations.TryDequeue(out var resignation))
            Add(null, resignation);

        while (_partitions.Count < context.Options.MaxPartitionsInCall && peer.DataQueue.TryDequeue(out FollowerLink? link))
        {
            link.DataTurn = DataTurn.None;
            AddLink(link);
        }

        // Behind those in sync, so that they take the room that these leave.
        int first = _partitions.Count;
        while (_partitions.Count < context.Options.MaxPartitionsInCall && _catchUps.MayGo(peer))
        {
            FollowerLink link = peer.CatchUpQueue.Dequeue();
            link.DataTurn = DataTurn.None;
            AddLink(link);
        }

        Range catchUp = first.._partitions.Count;
        AddWatermarks(peer);
        Send(peer, PushKind.Data, catchUp);
    }

    private void SendWatermarks(Peer peer)
    {
        AddWatermarks(peer);
        Send(peer, PushKind.Watermarks);
    }

    private void AddWatermarks(Peer peer)
    {
        while (_partitions.Count < context.Options.MaxPartitionsInCall && peer.WatermarkQueue.TryDequeue(out FollowerLink? link))
        {
            link.IsWatermarkQueued = false;
            AddLink(link);
        }

        if (peer.WatermarkQueue.Count == 0)
            peer.WatermarkDueMs = long.MaxValue;
    }

    private void AddLink(FollowerLink link)
    {
        if (link.IsOver || !link.IsOpen || link.IsPushing)
            return;

        IReplicaLog log = link.Replica.Log!;
        if (link.EndOffset < log.LogStartOffset)
        {
            // What the follower lacks is gone: it begins afresh in a new session.
            link.Phase = LinkPhase.Idle;
            link.RetryAtMs = context.NowMs;
            context.Timers.Arm(link.Replica, context.NowMs);
            return;
        }

        link.IsPushing = true;
        link.Call = _lastCall + 1;
        link.EndAtPush = log.DurableEndOffset;
        link.PushedAtMs = context.NowMs;
        link.SentWatermark = link.Replica.HighWatermark;
        link.SentLogStart = log.LogStartOffset;
        Add(link, SessionMessages.Pushed(link));
    }

    private void Add(FollowerLink? link, ReplicaPushRequest.PushedPartition partition)
    {
        _links.Add(link);
        _partitions.Add(partition);
    }

    private void Send(Peer peer, PushKind kind, Range catchUp = default)
    {
        if (_partitions.Count == 0 && kind != PushKind.Heartbeat)
            return;

        int catchUpBytes = 0;
        if (catchUp.Start.Value < catchUp.End.Value)
        {
            (catchUpBytes, peer.CatchUpBytes) = (peer.CatchUpBytes, 0);
            peer.IsCatchUpInFlight = true;
        }

        long call = ++_lastCall;
        if (kind == PushKind.Data)
            peer.PushesInFlight++;
        else if (kind == PushKind.Watermarks)
            peer.IsWatermarkCallInFlight = true;

        _pushes.Add(call, new SentPush(peer, kind, context.NowMs, [.. _links], catchUpBytes));
        var request = new ReplicaPushRequest { SenderLife = context.Peers.SelfLife, Partitions = [.. _partitions] };
        _links.Clear();
        _partitions.Clear();
        context.Emit(new ReplicationEffect.SendPush(call, peer.BrokerId, request, catchUp, catchUpBytes));
    }
}
