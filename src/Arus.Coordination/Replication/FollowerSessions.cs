using Arus.Protocol;

namespace Arus.Coordination.Replication;

/// <summary>
/// Opens sessions on the follower's side: it fences older leaders durably and cuts off what its leader does not have, before it says where
/// its log ends.
/// </summary>
internal sealed class FollowerSessions(ReplicationContext context, CallAnswers answers, LeaderRole leaders)
{
    private const int PatienceMs = 1_000;

    private const int LifeShift = 40;

    private long _openings;

    public void Receive(long call, Peer from, ReplicaSessionRequest request)
    {
        var pending = new SessionCall(call, from, request.Sessions.Length, context.NowMs + PatienceMs);
        for (int i = 0; i < request.Sessions.Length; i++)
            Offer(new SessionOffer(pending, i, request.Sessions[i]));

        pending.IsAwaited = true;
        answers.Await(pending);
    }

    /// <summary>The log is fenced and cut for the session that waited for it.</summary>
    public void Prepared(Replica replica)
    {
        if (replica.PreparingOffer is not { } offer)
            return;

        replica.PreparingOffer = null;
        replica.HighWatermark = Math.Min(replica.HighWatermark, replica.Log!.DurableEndOffset);
        if (replica.WaitingOffer is null)
            Open(replica, offer);
        else
            Refuse(replica, offer, ErrorCode.FencedLeaderEpoch);
    }

    /// <summary>The log is free for a session that waited.</summary>
    public void OperationEnded(Replica replica)
    {
        if (replica.Operation != LogOperation.None || replica.WaitingOffer is not { } offer)
            return;

        replica.WaitingOffer = null;
        Begin(replica, offer);
    }

    /// <summary>The log failed or is closed: whoever waits for it is told.</summary>
    public void Abandon(Replica replica)
    {
        SessionOffer? preparing = replica.PreparingOffer;
        SessionOffer? waiting = replica.WaitingOffer;
        replica.SessionEpoch = -1;
        replica.PreparingOffer = null;
        replica.WaitingOffer = null;
        if (preparing is not null)
            Refuse(replica, preparing, ErrorCode.KafkaStorageError);

        if (waiting is not null)
            Refuse(replica, waiting, ErrorCode.KafkaStorageError);
    }

    /// <summary>Lets the follower's readers see what its leader has committed, as far as the follower has it.</summary>
    public void TakeWatermark(Replica replica, long highWatermark, long logStartOffset)
    {
        IReplicaLog log = replica.Log!;
        long watermark = Math.Min(highWatermark, log.DurableEndOffset);
        bool rises = watermark > replica.HighWatermark;
        if (rises)
            replica.HighWatermark = watermark;

        long start = Math.Min(logStartOffset, replica.HighWatermark);
        if (rises || start > log.LogStartOffset)
        {
            start = start > log.LogStartOffset ? start : -1;
            context.Emit(new ReplicationEffect.AdvanceHighWatermark(replica.Id, replica.HighWatermark, start));
        }
    }

    private void Offer(SessionOffer offer)
    {
        var id = new PartitionId(offer.Request.TopicId, offer.Request.PartitionIndex);
        if (!context.Replicas.TryGetValue(id, out Replica? replica))
        {
            Refuse(null, offer, ErrorCode.UnknownTopicOrPartition);
            return;
        }

        ErrorCode error = Check(replica, offer);
        if (error != ErrorCode.None)
        {
            Refuse(replica, offer, error);
        }
        else if (replica.Operation == LogOperation.None)
        {
            Begin(replica, offer);
        }
        else
        {
            if (replica.WaitingOffer is { } former)
                Refuse(replica, former, ErrorCode.FencedLeaderEpoch);

            replica.WaitingOffer = offer;
        }
    }

    private static ErrorCode Check(Replica replica, SessionOffer offer)
    {
        PartitionState state = replica.State;
        int epoch = offer.Request.LeaderEpoch;
        if (state.IsDeleted || state.IsShared)
            return ErrorCode.UnknownTopicOrPartition;

        if (epoch < replica.MinEpoch || (epoch == state.LeaderEpoch && state.Leader != offer.Call.From.BrokerId)
            || epoch < replica.WaitingOffer?.Request.LeaderEpoch)
        {
            return ErrorCode.FencedLeaderEpoch;
        }

        return replica.Log is null ? ErrorCode.ReplicaNotAvailable : ErrorCode.None;
    }

    private void Begin(Replica replica, SessionOffer offer)
    {
        ReplicaSessionRequest.SessionOpening request = offer.Request;
        ErrorCode error = Check(replica, offer);
        if (error != ErrorCode.None)
        {
            Refuse(replica, offer, error);
            return;
        }

        // This is a leader of a newer epoch than any of this broker.
        if (replica.State.Leader == context.Self)
            replica.RetiredEpoch = Math.Max(replica.RetiredEpoch, replica.State.LeaderEpoch);

        leaders.StepDown(replica);
        IReplicaLog log = replica.Log!;
        Reconciliation cut = EpochHistory.Reconcile(log, replica.HighWatermark, request);
        if (cut.IsRefused)
        {
            context.Report(replica, $"the leader of epoch {request.LeaderEpoch} lacks records below this replica's high watermark "
                + $"{replica.HighWatermark}, though no election is known to have been unclean; the replica does not follow");
            Refuse(replica, offer, ErrorCode.OffsetOutOfRange);
        }
        else if (log.FencedEpoch == request.LeaderEpoch && cut.TruncateTo >= log.LogEndOffset)
        {
            Open(replica, offer);
        }
        else
        {
            replica.SessionEpoch = -1;
            answers.Retract(replica);
            replica.Operation = LogOperation.PrepareSession;
            replica.PreparingOffer = offer;
            context.Emit(new ReplicationEffect.Prepare(replica.Id, request.LeaderEpoch, cut.TruncateTo, cut.RestartAt, cut.RenewLogId));
        }
    }

    private void Open(Replica replica, SessionOffer offer)
    {
        ReplicaSessionRequest.SessionOpening request = offer.Request;
        IReplicaLog log = replica.Log!;
        replica.SessionEpoch = request.LeaderEpoch;

        // Those of this life differ from those of earlier ones.
        replica.Opening = unchecked(context.Peers.SelfLife << LifeShift) + ++_openings;
        TakeWatermark(replica, request.HighWatermark, request.LogStartOffset);
        offer.Call.Complete(offer.Index, new ReplicaSessionResponse.OpenedSession
        {
            LeaderEpoch = request.LeaderEpoch,
            Opening = replica.Opening,
            LogEndOffset = log.DurableEndOffset,
            LogId = log.LogId,
        });
        answers.AnswerIfComplete(offer.Call);
    }

    private void Refuse(Replica? replica, SessionOffer offer, ErrorCode error)
    {
        offer.Call.Complete(offer.Index, new ReplicaSessionResponse.OpenedSession
        {
            ErrorCode = error,
            LeaderEpoch = replica?.MinEpoch ?? -1,
            LogEndOffset = -1,
        });
        answers.AnswerIfComplete(offer.Call);
    }
}
