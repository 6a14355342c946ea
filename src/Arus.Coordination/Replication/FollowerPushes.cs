using Arus.Protocol;

namespace Arus.Coordination.Replication;

/// <summary>Takes a leader's records: those that follow the follower's own end, in the session that is current.</summary>
internal sealed class FollowerPushes(ReplicationContext context, CallAnswers answers, FollowerSessions sessions)
{
    /// <summary>How long a call waits for its slowest log; the ends of what takes longer go with a later answer.</summary>
    private const int PatienceMs = 100;

    public void Receive(long call, Peer from, ReplicaPushRequest request)
    {
        ReplicaPushRequest.PushedPartition[] partitions = request.Partitions;
        var pending = new PushCall(call, from, request.SenderLife, partitions.Length, context.NowMs + PatienceMs);
        for (int i = 0; i < partitions.Length; i++)
        {
            var id = new PartitionId(partitions[i].TopicId, partitions[i].PartitionIndex);
            if (!context.Replicas.TryGetValue(id, out Replica? replica))
                pending.Complete(i, ErrorCode.UnknownTopicOrPartition, -1);
            else if (partitions[i].IsResigned)
                Resigned(pending, i, replica, partitions[i]);
            else
                Take(pending, i, replica, partitions[i]);
        }

        pending.IsAwaited = true;
        answers.Await(pending);
    }

    /// <summary>What a push brought is durable.</summary>
    public void Appended(Replica replica)
    {
        if (replica.Operation != LogOperation.Append || replica.Append is not { } append)
            return;

        replica.Operation = LogOperation.None;
        replica.Append = null;
        replica.LastUsedMs = context.NowMs;
        ReplicaPushRequest.PushedPartition pushed = append.Pushed;
        long end = replica.Log!.DurableEndOffset;
        sessions.TakeWatermark(replica, pushed.HighWatermark, pushed.LogStartOffset);
        if (append.Call.IsAnswered)
        {
            append.Call.From.MovedEnds.Add(new ReplicaPushResponse.MovedEnd
            {
                TopicId = pushed.TopicId,
                PartitionIndex = pushed.PartitionIndex,
                LeaderEpoch = pushed.LeaderEpoch,
                Opening = pushed.Opening,
                LogEndOffset = end,
            });
        }

        append.Call.Complete(append.Index, ErrorCode.None, end);
        answers.AnswerIfComplete(append.Call);
    }

    public void Abandon(Replica replica)
    {
        if (replica.Append is not { } append)
            return;

        replica.Append = null;
        append.Call.Complete(append.Index, ErrorCode.KafkaStorageError, -1);
        answers.AnswerIfComplete(append.Call);
    }

    /// <summary>The leader gives its leadership up: nobody need wait for its lease any more.</summary>
    private void Resigned(PushCall call, int index, Replica replica, in ReplicaPushRequest.PushedPartition pushed)
    {
        replica.ResignedEpoch = Math.Max(replica.ResignedEpoch, pushed.LeaderEpoch);
        call.Complete(index, ErrorCode.None, replica.Log?.DurableEndOffset ?? -1);
        context.Touch(replica);
    }

    private void Take(PushCall call, int index, Replica replica, in ReplicaPushRequest.PushedPartition pushed)
    {
        ErrorCode error = Check(replica, pushed);
        if (error != ErrorCode.None)
        {
            call.Complete(index, error, -1);
            return;
        }

        var push = new PendingAppend(call, index, pushed);
        replica.LastPush = push;
        if (pushed.SegmentCount > 0)
        {
            replica.Operation = LogOperation.Append;
            replica.Append = push;
            context.Emit(new ReplicationEffect.AppendPushed(replica.Id, call.Call, index));
        }
        else
        {
            sessions.TakeWatermark(replica, pushed.HighWatermark, pushed.LogStartOffset);
            call.Complete(index, ErrorCode.None, pushed.PreviousEndOffset);
        }
    }

    private static ErrorCode Check(Replica replica, in ReplicaPushRequest.PushedPartition pushed)
    {
        if (replica.Log is not { } log)
            return ErrorCode.ReplicaNotAvailable;

        if (pushed.LeaderEpoch < replica.MinEpoch)
            return ErrorCode.FencedLeaderEpoch;

        if (pushed.LeaderEpoch != replica.SessionEpoch || pushed.Opening != replica.Opening || replica.WaitingOffer is not null)
            return ErrorCode.InvalidFetchSessionEpoch;

        // A leader sends a partition's next push when the last one is answered; another one is a copy, which nobody could retract.
        bool isBusy = replica.Operation != LogOperation.None || replica.LastPush is { Call.IsAnswered: false };
        return isBusy || pushed.PreviousEndOffset != log.DurableEndOffset
            ? ErrorCode.OffsetOutOfRange
            : ErrorCode.None;
    }
}
