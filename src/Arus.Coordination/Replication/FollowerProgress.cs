using Arus.Protocol;

namespace Arus.Coordination.Replication;

/// <summary>
/// A leader's view of how far its followers are: what they are sent, what they answer, and the high watermark that follows.
/// </summary>
internal sealed class FollowerProgress(ReplicationContext context, PushScheduler scheduler, IsrKeeper isrs, Moves moves)
{
    /// <summary>How long the end of an append may be outstanding after its call was answered before the session is opened anew.</summary>
    private const int MovedEndPatienceMs = 10_000;

    /// <summary>The log's durable end or start moved.</summary>
    public void Durable(Replica replica)
    {
        if (replica.Leadership is not { } leadership || replica.State.IsShared)
            return;

        long end = replica.Log!.DurableEndOffset;
        foreach (FollowerLink link in leadership.Links)
        {
            if (link.IsOpen && link.EndOffset >= leadership.LastDurableEnd)
                link.CaughtUpMs = context.NowMs;

            Offer(link);
            if (!link.IsOpen || link.IsBehind)
                context.Timers.Arm(replica, link.CaughtUpMs + context.Options.LagTimeMaxMs + 1);
        }

        leadership.LastDurableEnd = end;
        AdvanceHighWatermark(replica);
        if (leadership.Move is not null)
            moves.Consider(replica);
    }

    public void SessionsAnswered(long call, SentSessions sent, ReplicaSessionResponse? response)
    {
        if (response is not null)
            Heard(sent.Peer);

        for (int i = 0; i < sent.Links.Length; i++)
        {
            FollowerLink link = sent.Links[i];
            if (link.IsOver || link.Call != call)
                continue;

            if (response is null || response.Sessions.Length != sent.Links.Length)
                LoseSession(link);
            else
                SessionAnswered(link, response.Sessions[i]);
        }
    }

    public void PushAnswered(long call, SentPush sent, ReplicaPushResponse? response)
    {
        if (response is not null)
            Answered(sent, response);

        // Those for which there was no room come first, so that their turn for the next call comes before that of the others.
        bool isFull = response is not null && BroughtRecords(sent, response);
        PushAnswered(call, sent, response, isFull, broughtRecords: false);
        if (isFull)
            PushAnswered(call, sent, response, isFull, broughtRecords: true);
    }

    private void PushAnswered(long call, SentPush sent, ReplicaPushResponse? response, bool isFull, bool broughtRecords)
    {
        for (int i = 0; i < sent.Links.Length; i++)
        {
            if (sent.Links[i] is not { IsOver: false } link || link.Call != call)
                continue;

            if (response is null || response.Partitions.Length != sent.Links.Length)
                LoseSession(link);
            else if (response.Partitions[i].LogEndOffset > link.EndOffset == broughtRecords)
                PushAnswered(link, response.Partitions[i], isFull);
        }
    }

    /// <summary>Some partition got records: for others of the call there may have been no room.</summary>
    private static bool BroughtRecords(SentPush sent, ReplicaPushResponse response)
    {
        for (int i = 0; i < Math.Min(sent.Links.Length, response.Partitions.Length); i++)
        {
            if (sent.Links[i] is { } link && response.Partitions[i].LogEndOffset > link.EndOffset)
                return true;
        }

        return false;
    }

    private void Heard(Peer peer)
    {
        peer.AnsweredMs = context.NowMs;
        peer.BreakSilence(context.NowMs);
    }

    private void Answered(SentPush sent, ReplicaPushResponse response)
    {
        Peer peer = sent.Peer;
        Heard(peer);
        peer.AnsweredSendMs = Math.Max(peer.AnsweredSendMs, sent.SentMs);
        if (response.IsLeaseGranted)
            context.Leases.Extend(peer.BrokerId, sent.SentMs + context.Options.ReliedLeaseMs);

        foreach (ReplicaPushResponse.MovedEnd moved in response.MovedEnds)
        {
            var id = new PartitionId(moved.TopicId, moved.PartitionIndex);
            if (context.Replicas.TryGetValue(id, out Replica? replica) && replica.Leadership is { } leadership
                && leadership.Epoch == moved.LeaderEpoch && leadership.Link(peer.BrokerId) is { IsOpen: true, IsPushing: true } link
                && link.Opening == moved.Opening)
            {
                EndMoved(link, moved.LogEndOffset);
            }
        }
    }

    private void SessionAnswered(FollowerLink link, ReplicaSessionResponse.OpenedSession answer)
    {
        IReplicaLog log = link.Replica.Log!;
        if (answer.ErrorCode != ErrorCode.None || answer.LogEndOffset > log.DurableEndOffset)
        {
            if (answer.ErrorCode == ErrorCode.FencedLeaderEpoch && link.Leadership.Doubt(answer.LeaderEpoch, context.NowMs))
                context.Touch(link.Replica);

            LoseSession(link);
            return;
        }

        link.Phase = LinkPhase.Open;
        link.Call = 0;
        link.Opening = answer.Opening;
        link.LogId = answer.LogId;
        link.EndOffset = answer.LogEndOffset;
        link.IsPushing = false;
        link.SentWatermark = -1;
        if (!link.IsBehind)
            link.CaughtUpMs = context.NowMs;

        Offer(link);
        context.Touch(link.Replica);
    }

    private void PushAnswered(FollowerLink link, ReplicaPushResponse.PushResult result, bool isFull)
    {
        if (result.ErrorCode == ErrorCode.None)
        {
            // What could not be read for a call that had room is not tried again at the network's speed.
            if (!isFull && result.LogEndOffset == link.EndOffset && link.EndAtPush > link.EndOffset)
                link.OfferAtMs = context.NowMs + context.Options.RetryMs;

            EndMoved(link, result.LogEndOffset);
        }
        else if (result.ErrorCode == ErrorCode.RequestTimedOut)
        {
            link.Call = 0;
            link.RetryAtMs = context.NowMs + MovedEndPatienceMs;
            context.Timers.Arm(link.Replica, link.RetryAtMs);
        }
        else
        {
            LoseSession(link);
        }
    }

    /// <summary>The follower has made durable what the last push brought.</summary>
    private void EndMoved(FollowerLink link, long endOffset)
    {
        Replica replica = link.Replica;
        if (endOffset < link.EndOffset || endOffset > replica.Log!.DurableEndOffset)
        {
            LoseSession(link);
            return;
        }

        link.IsPushing = false;
        link.Call = 0;
        link.Failures = 0;
        bool moved = endOffset != link.EndOffset;
        link.EndOffset = endOffset;
        if (endOffset >= link.EndAtPush)
            link.CaughtUpMs = Math.Max(link.CaughtUpMs, link.PushedAtMs);

        if (!link.IsBehind)
            link.CaughtUpMs = context.NowMs;

        if (moved)
            AdvanceHighWatermark(replica);

        Offer(link);
        if (replica.Leadership!.Move is not null)
            moves.Consider(replica);
        else if (moved && isrs.MayGrow(link))
            context.Touch(replica);
    }

    /// <summary>The session is over, as far as this side knows; another is asked for after a pause.</summary>
    public void LoseSession(FollowerLink link)
    {
        // An idle follower has had all until now.
        if (link.IsOpen && !link.IsBehind)
            link.CaughtUpMs = context.NowMs;

        link.Phase = LinkPhase.Idle;
        link.Call = 0;
        link.IsPushing = false;
        link.RetryAtMs = context.RetryAt(link.Failures++);
        context.Timers.Arm(link.Replica, link.RetryAtMs);
    }

    /// <summary>Sends what the follower lacks: records at once, a high watermark or log start a little later.</summary>
    public void Offer(FollowerLink link)
    {
        if (!link.IsOpen || link.IsPushing)
            return;

        if (link.IsBehind && context.NowMs < link.OfferAtMs)
            context.Timers.Arm(link.Replica, link.OfferAtMs);
        else if (link.IsBehind)
            scheduler.QueueData(link);
        else if (link.SentWatermark < link.Replica.HighWatermark || link.SentLogStart < link.Replica.Log!.LogStartOffset)
            scheduler.QueueWatermark(link);
    }

    /// <summary>The least durable end over all who are, or may be, in the isr; it stands still while too few are.</summary>
    public void AdvanceHighWatermark(Replica replica)
    {
        if (replica.State.IsShared || replica.SurelyInSync() < replica.EffectiveMin || replica.MayHaveElr())
            return;

        long watermark = replica.Log!.DurableEndOffset;
        if (!Lower(replica, replica.State, ref watermark))
            return;

        foreach (PartitionState proposal in replica.Swap.Proposals)
        {
            if (!Lower(replica, proposal, ref watermark))
                return;
        }

        if (watermark <= replica.HighWatermark)
            return;

        replica.HighWatermark = watermark;
        context.Emit(new ReplicationEffect.AdvanceHighWatermark(replica.Id, watermark, -1));
        foreach (FollowerLink link in replica.Leadership!.Links)
            Offer(link);
    }

    private bool Lower(Replica replica, PartitionState state, ref long watermark)
    {
        foreach (ReplicaId member in state.Isr)
        {
            if (member.BrokerId == context.Self)
                continue;

            if (replica.Leadership!.Link(member.BrokerId) is not { IsOpen: true } link || link.LogId != member.LogId)
                return false;

            watermark = Math.Min(watermark, link.EndOffset);
        }

        return true;
    }
}
