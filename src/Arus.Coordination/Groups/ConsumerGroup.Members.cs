namespace Arus.Coordination;

public sealed partial class ConsumerGroup
{
    /// <summary>A sign of life; the answer says whether the member has to join again.</summary>
    public ErrorCode Heartbeat(MemberRef caller, long nowMs)
    {
        ErrorCode error = CheckMember(caller, out GroupMember? member);
        if (member is null)
        {
            return error;
        }

        if (caller.Generation != _generation)
        {
            return ErrorCode.IllegalGeneration;
        }

        Touch(member, nowMs);
        return _state == GroupState.PreparingRebalance ? ErrorCode.RebalanceInProgress : ErrorCode.None;
    }

    /// <summary>Removes members; a static one may be named by its instance id alone (KIP-345). One answer each, in order.</summary>
    public ErrorCode[] Leave(IReadOnlyList<MemberRef> leaving, long nowMs)
    {
        var errors = new ErrorCode[leaving.Count];
        for (int i = 0; i < errors.Length; i++)
        {
            errors[i] = Leave(leaving[i], nowMs);
        }

        return errors;
    }

    private ErrorCode Leave(MemberRef caller, long nowMs)
    {
        if (caller.InstanceId is null && _pendingMembers.Remove(caller.MemberId))
        {
            TryCompleteJoin(nowMs);
            return ErrorCode.None;
        }

        if (caller.MemberId.Length == 0 && caller.InstanceId is not null && _staticMembers.TryGetValue(caller.InstanceId, out string? memberId))
        {
            caller = caller with { MemberId = memberId };
        }

        ErrorCode error = CheckMember(caller, out GroupMember? member);
        if (member is not null)
        {
            RemoveAndRebalance(member, ErrorCode.UnknownMemberId, nowMs);
        }

        return error;
    }

    /// <summary>The checks that every call of a member passes. <paramref name="member"/> is null if and only if it fails them.</summary>
    private ErrorCode CheckMember(MemberRef caller, out GroupMember? member)
    {
        member = null;
        if (caller.InstanceId is not null)
        {
            if (!_staticMembers.TryGetValue(caller.InstanceId, out string? currentId))
            {
                return ErrorCode.UnknownMemberId;
            }

            if (currentId != caller.MemberId)
            {
                return ErrorCode.FencedInstanceId;
            }
        }

        return _members.TryGetValue(caller.MemberId, out member) ? ErrorCode.None : ErrorCode.UnknownMemberId;
    }

    /// <summary>Begins the member's session anew, unless one of its calls waits here: then it is alive as long as that.</summary>
    private void Touch(GroupMember member, long nowMs)
    {
        member.SessionDeadline = member.IsWaiting ? GroupMember.Never : nowMs + member.SessionTimeoutMs;
        Arm(member.SessionDeadline);
    }

    private void AnswerWaits(GroupMember member, ErrorCode error)
    {
        if (member.Join is { } join)
        {
            member.Join = null;
            Reply(join.Token, JoinReply.Failed(error, member.MemberId));
        }

        if (member.Sync is { } sync)
        {
            member.Sync = null;
            Reply(sync.Token, SyncReply.Failed(error));
        }
    }

    private void AnswerLongWaits(long nowMs)
    {
        foreach (GroupMember member in _members.Values)
        {
            if (member.Join is { } join && join.AnswerBy <= nowMs)
            {
                member.Join = null;
                Reply(join.Token, new JoinReply(ErrorCode.None, true, member.MemberId, -1, null, null, "", false, []));
                Touch(member, nowMs);
            }

            if (member.Sync is { } sync && sync.AnswerBy <= nowMs)
            {
                member.Sync = null;
                Reply(sync.Token, new SyncReply(ErrorCode.None, true, null, null, default));
                Touch(member, nowMs);
            }
        }
    }

    private void ExpirePendingMembers(long nowMs)
    {
        foreach ((string memberId, long deadline) in _pendingMembers)
        {
            if (deadline <= nowMs)
            {
                // Removing from a Dictionary does not disturb its enumeration.
                _pendingMembers.Remove(memberId);
            }
        }

        TryCompleteJoin(nowMs);
    }

    private void ExpireSessions(long nowMs)
    {
        List<GroupMember>? expired = null;
        foreach (GroupMember member in _members.Values)
        {
            if (member.SessionDeadline <= nowMs)
            {
                (expired ??= []).Add(member);
            }
        }

        // All at once, so that one rebalance does for all that died together.
        foreach (GroupMember member in expired ?? [])
        {
            RemoveMember(member, ErrorCode.UnknownMemberId);
        }

        if (expired is not null)
        {
            RebalanceAfterRemoval(nowMs);
        }
    }

    private void RemoveAndRebalance(GroupMember member, ErrorCode error, long nowMs)
    {
        RemoveMember(member, error);
        RebalanceAfterRemoval(nowMs);
    }

    private void RebalanceAfterRemoval(long nowMs)
    {
        if (_state is GroupState.Stable or GroupState.CompletingRebalance)
        {
            PrepareRebalance(nowMs);
        }

        TryCompleteJoin(nowMs);
    }

    private void RemoveMember(GroupMember member, ErrorCode error)
    {
        AnswerWaits(member, error);
        _members.Remove(member.MemberId);
        if (member.InstanceId is not null)
        {
            _staticMembers.Remove(member.InstanceId);
        }

        if (_leaderId == member.MemberId)
        {
            _leaderId = _members.Count > 0 ? _members.GetAt(0).Key : "";
        }
    }
}
