using Arus.Protocol;

namespace Arus.Coordination.Replication;

/// <summary>
/// Answers other brokers' calls: when all entries are done, or without those that take longer than the call's patience, so that one slow
/// log holds up no other. An answer to a push promises its sender a lease.
/// </summary>
internal sealed class CallAnswers(ReplicationContext context)
{
    private readonly Queue<PendingCall> _pushes = new();
    private readonly Queue<PendingCall> _sessions = new();

    /// <summary>When the next call is to be answered as it is.</summary>
    public long NextMs() => Math.Min(NextMs(_pushes), NextMs(_sessions));

    public void AnswerDue()
    {
        while (NextMs(_pushes) <= context.NowMs)
            Answer(_pushes.Dequeue());

        while (NextMs(_sessions) <= context.NowMs)
            Answer(_sessions.Dequeue());
    }

    /// <summary>Answers a call that is complete now, or sees to it that it is answered in time.</summary>
    public void Await(PendingCall call)
    {
        if (call.IsComplete)
            Answer(call);
        else
            (call is PushCall ? _pushes : _sessions).Enqueue(call);
    }

    public void AnswerIfComplete(PendingCall call)
    {
        if (call.IsComplete && !call.IsAnswered && call.IsAwaited)
            Answer(call);
    }

    /// <summary>The log is being fenced: what has not been acknowledged to an older leader never will be.</summary>
    public void Retract(Replica replica)
    {
        if (replica.LastPush is not { } push)
            return;

        replica.LastPush = null;
        push.Call.Retract(push.Index);
        push.Call.From.MovedEnds.RemoveAll(moved =>
            moved.TopicId == replica.Id.TopicId && moved.PartitionIndex == replica.Id.Partition);
    }

    private static long NextMs(Queue<PendingCall> calls)
    {
        while (calls.TryPeek(out PendingCall? call))
        {
            if (!call.IsAnswered)
                return call.AnswerByMs;

            calls.Dequeue();
        }

        return long.MaxValue;
    }

    private void Answer(PendingCall call)
    {
        call.IsAnswered = true;
        if (call is PushCall push)
            AnswerPush(push);
        else if (call is SessionCall sessions)
            context.Emit(new ReplicationEffect.AnswerSessions(call.Call, new ReplicaSessionResponse { Sessions = sessions.Answers }));
    }

    private void AnswerPush(PushCall push)
    {
        if (!push.IsComplete)
            push.CutShort();

        Peer peer = push.From;
        bool isGranted = peer.IsLive && peer.Life == push.SenderLife && peer.Challenges == 0 && context.Peers.IsSelfLive;
        if (isGranted)
        {
            peer.GrantedUntilMs = Math.Max(peer.GrantedUntilMs, context.NowMs + context.Options.LeaseMs);
            context.Leases.Grant(peer.BrokerId, peer.GrantedUntilMs);
        }

        ReplicaPushResponse.MovedEnd[] moved = [.. peer.MovedEnds];
        peer.MovedEnds.Clear();
        var response = new ReplicaPushResponse { IsLeaseGranted = isGranted, Partitions = push.Results, MovedEnds = moved };
        context.Emit(new ReplicationEffect.AnswerPush(push.Call, response));
    }
}
