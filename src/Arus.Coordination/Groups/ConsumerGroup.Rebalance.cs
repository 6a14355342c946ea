using System.Diagnostics;
using Arus.Protocol;
using Assignment = Arus.Protocol.SyncGroupRequest.SyncGroupRequestAssignment;

namespace Arus.Coordination;

/// <content>Rebalances, and what happens when time passes.</content>
public sealed partial class ConsumerGroup
{
    private long _nextRetentionCheck;
    private long _rebalanceDeadline = GroupMember.Never;
    private long _syncDeadline = GroupMember.Never;
    private bool _inInitialDelay;
    private long _initialDelayLeftMs;
    private bool _memberAddedInDelay;

    private void PrepareRebalance(long nowMs)
    {
        bool first = _state == GroupState.Empty;
        foreach (GroupMember member in _members.All)
        {
            member.MustSync = false;
            if (_state == GroupState.CompletingRebalance)
                member.Assignment = default;

            if (member.Waiting is { IsJoin: false })
            {
                EndWait(member, ErrorCode.RebalanceInProgress);
                Touch(member, nowMs);
            }
        }

        _state = GroupState.PreparingRebalance;
        _syncDeadline = GroupMember.Never;
        _inInitialDelay = first;
        long delay = _members.RebalanceTimeoutMs;
        if (first)
        {
            _initialDelayLeftMs = Math.Max(delay - _options.InitialRebalanceDelayMs, 0);
            delay = _options.InitialRebalanceDelayMs;
            _memberAddedInDelay = false;
        }

        SetRebalanceDeadline(nowMs + delay);
    }

    /// <summary>Completes the join phase if nobody is missing.</summary>
    private void TryCompleteJoin(long nowMs)
    {
        if (_state == GroupState.PreparingRebalance
            && (_inInitialDelay ? nowMs >= _rebalanceDeadline : _pendingMembers.Count == 0 && _members.All.All(member => member.Joined)))
        {
            EndJoinPhase(nowMs);
        }
    }

    /// <summary>Completes the join phase. While members of a new group still come, its first rebalance waits on (KIP-134).</summary>
    private void EndJoinPhase(long nowMs)
    {
        if (_inInitialDelay && _memberAddedInDelay && _initialDelayLeftMs > 0)
        {
            _memberAddedInDelay = false;
            long delay = Math.Min(_options.InitialRebalanceDelayMs, _initialDelayLeftMs);
            _initialDelayLeftMs -= delay;
            SetRebalanceDeadline(nowMs + delay);
            return;
        }

        _inInitialDelay = false;
        RemoveMembers(member => !member.Joined && member.InstanceId is null);
        if (_members.Count > 0 && !_members.ElectLeader())
        {
            // Static members only, and none has come back: their sessions decide.
            SetRebalanceDeadline(nowMs + Math.Max(_members.RebalanceTimeoutMs, 1));
            return;
        }

        _rebalanceDeadline = GroupMember.Never;
        Generation++;
        Debug.Assert(Generation > 0, "Generations only grow.");
        if (_members.Count == 0)
            BecomeEmpty(nowMs);
        else
            AnnounceGeneration(nowMs);
    }

    private void BecomeEmpty(long nowMs)
    {
        _state = GroupState.Empty;
        _protocolName = "";
        _emptySinceMs = nowMs;
        _subscribedTopics = [];
        NoteMetadataChange();
        ScheduleRetentionCheck(nowMs);
    }

    private void AnnounceGeneration(long nowMs)
    {
        _state = GroupState.CompletingRebalance;
        _protocolName = _members.SelectProtocol();
        _emptySinceMs = -1;
        _subscribedTopics = _members.SubscribedTopics(_protocolName);
        NoteMetadataChange();
        _syncDeadline = nowMs + _members.RebalanceTimeoutMs;
        Arm(_syncDeadline);
        foreach (GroupMember member in _members.All)
        {
            member.MustSync = member.Joined;
            member.Joined = false;
            AnswerWait(member, JoinResponse, nowMs);
        }
    }

    /// <summary>The leader has brought the assignments of all.</summary>
    private void CompleteRebalance(Assignment[] assignments, long nowMs)
    {
        Debug.Assert(_state == GroupState.CompletingRebalance, "Assignments are taken for a generation that was announced.");
        foreach (GroupMember member in _members.All)
            member.Assignment = default;

        foreach (Assignment assignment in assignments)
        {
            if (_members.Find(assignment.MemberId) is { } member)
                member.Assignment = assignment.Assignment;
        }

        _state = GroupState.Stable;
        NoteMetadataChange();
        foreach (GroupMember member in _members.All)
            AnswerWait(member, SyncResponse, nowMs);
    }

    private void SetRebalanceDeadline(long deadline)
    {
        _rebalanceDeadline = deadline;
        Arm(deadline);
    }

    private void AdvanceRebalance(long nowMs)
    {
        if (nowMs >= _rebalanceDeadline)
            EndJoinPhase(nowMs);

        if (nowMs >= _syncDeadline)
        {
            _syncDeadline = GroupMember.Never;
            RemoveAndRebalance(member => member.MustSync, nowMs);
        }
    }

    /// <summary>Begins the member's session anew, unless one of its calls waits here: then it is alive as long as that.</summary>
    private void Touch(GroupMember member, long nowMs)
    {
        member.SessionDeadline = member.Waiting is not null ? GroupMember.Never : nowMs + member.SessionTimeoutMs;
        Arm(member.SessionDeadline);
    }

    /// <summary>A second call of the same member takes the place of the first, whose caller has most likely gone.</summary>
    private void Await(GroupMember member, long call, bool isJoin, long nowMs)
    {
        EndWait(member, ErrorCode.RebalanceInProgress);
        member.Waiting = new WaitingCall(call, isJoin, nowMs + _waitLimitMs);
        member.SessionDeadline = GroupMember.Never;
        Arm(member.Waiting.Deadline);
    }

    private void AnswerWait(GroupMember member, Func<GroupMember, IApiMessage> response, long nowMs)
    {
        if (member.Waiting is not { } waiting)
            return;

        member.Waiting = null;
        Touch(member, nowMs);
        _replies.SendWhenDurable(waiting.Call, response(member));
    }

    /// <summary>Refuses the call of a member that waits. Its session is for the caller to begin.</summary>
    private void EndWait(GroupMember member, ErrorCode error)
    {
        if (member.Waiting is not { } waiting)
            return;

        member.Waiting = null;
        _replies.Send(
            waiting.Call, waiting.IsJoin ? FailedJoin(error, member.MemberId) : new SyncGroupResponse { ErrorCode = error });
    }

    private void TimeOutWaits(long nowMs)
    {
        foreach (GroupMember member in _members.All)
        {
            if (member.Waiting?.Deadline <= nowMs)
            {
                EndWait(member, ErrorCode.RequestTimedOut);
                Touch(member, nowMs);
            }
        }
    }

    /// <summary>All at once, so that one rebalance does for all that go.</summary>
    private void RemoveAndRebalance(Func<GroupMember, bool> which, long nowMs)
    {
        if (!RemoveMembers(which))
            return;

        if (_state is GroupState.Stable or GroupState.CompletingRebalance)
            PrepareRebalance(nowMs);

        TryCompleteJoin(nowMs);
    }

    private bool RemoveMembers(Func<GroupMember, bool> which)
    {
        GroupMember[] removed = [.. _members.All.Where(which)];
        foreach (GroupMember member in removed)
        {
            EndWait(member, ErrorCode.UnknownMemberId);
            _members.Remove(member);
        }

        return removed.Length > 0;
    }

    private void ScheduleRetentionCheck(long nowMs)
    {
        _nextRetentionCheck = nowMs + _options.OffsetsRetentionCheckIntervalMs;
        Arm(_nextRetentionCheck);
    }

    private void ExpireOffsets(long nowMs)
    {
        if (nowMs < _nextRetentionCheck)
            return;

        ScheduleRetentionCheck(nowMs);
        if (!_exists)
            return;

        _offsets.Forget((partition, offset) => IsExpired(partition, offset, nowMs));

        // Not at once: generations begin anew with the next group of the name, and members of the last one may not know yet.
        bool settled = nowMs - _emptySinceMs >= _options.OffsetsRetentionCheckIntervalMs;
        if (_offsets.IsEmpty && _state == GroupState.Empty && _pendingMembers.Count == 0 && settled)
            Vanish();
    }

    /// <summary>
    /// KIP-211: offsets of a group without members age from the moment the last one left, those of a consumer without a group from
    /// their commit, and those of a topic that a living group no longer reads from their commit as well.
    /// </summary>
    private bool IsExpired(TopicPartition partition, StoredOffset offset, long nowMs)
    {
        bool abandoned = _members.Count == 0 && _state == GroupState.Empty;
        bool unsubscribed = _state == GroupState.Stable && _protocolType == ConsumerProtocolType && !IsSubscribed(partition.Topic);
        if (!abandoned && !unsubscribed)
            return false;

        if (offset.ExpireAtMs >= 0)
            return nowMs >= offset.ExpireAtMs;

        // A tool may have set the offset after the group became empty: the later of the two counts.
        long since = abandoned && _protocolType.Length > 0 ? Math.Max(_emptySinceMs, offset.CommittedAtMs) : offset.CommittedAtMs;
        return nowMs - since >= _options.OffsetsRetentionMs;
    }

    private bool IsSubscribed(string topic) => _subscribedTopics is null || _subscribedTopics.Contains(topic);
}
