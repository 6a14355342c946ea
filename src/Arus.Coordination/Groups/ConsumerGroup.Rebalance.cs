namespace Arus.Coordination;

public sealed partial class ConsumerGroup
{
    private long _rebalanceDeadline = GroupMember.Never;
    private long _syncDeadline = GroupMember.Never;
    private bool _inInitialDelay;
    private long _initialDelayLeftMs;
    private bool _memberAddedInDelay;

    private long RebalanceTimeoutMs => _members.Values.Select(member => (long)member.RebalanceTimeoutMs).DefaultIfEmpty(0).Max();

    /// <summary>
    /// A member asks for its assignment, and the leader gives everyone's. The answer is a <see cref="SyncReply"/>; it says <c>Pending</c>
    /// when the leader has not spoken within the wait limit.
    /// </summary>
    public void Sync(long token, SyncRequest request, long nowMs)
    {
        ErrorCode error = CheckMember(request.Member, out GroupMember? member);
        if (member is null)
        {
            Reply(token, SyncReply.Failed(error));
            return;
        }

        error = request.Member.Generation != _generation ? ErrorCode.IllegalGeneration
            : request.ProtocolType is not null && request.ProtocolType != _protocolType ? ErrorCode.InconsistentGroupProtocol
            : request.ProtocolName is not null && request.ProtocolName != _protocolName ? ErrorCode.InconsistentGroupProtocol
            : _state == GroupState.PreparingRebalance ? ErrorCode.RebalanceInProgress
            : ErrorCode.None;
        if (error != ErrorCode.None)
        {
            Reply(token, SyncReply.Failed(error));
            return;
        }

        member.MustSync = false;
        if (_state == GroupState.Stable)
        {
            Touch(member, nowMs);
            ReplyWhenDurable(token, SyncReplyFor(member));
            return;
        }

        AnswerWaits(member, ErrorCode.RebalanceInProgress);
        member.Sync = new Waiter(token, nowMs + _waitLimitMs);
        member.SessionDeadline = GroupMember.Never;
        Arm(member.Sync.AnswerBy);
        if (member.MemberId == _leaderId)
        {
            CompleteRebalance(request, nowMs);
        }
    }

    private SyncReply SyncReplyFor(GroupMember member) => new(ErrorCode.None, false, _protocolType, _protocolName, member.Assignment);

    private void CompleteRebalance(SyncRequest request, long nowMs)
    {
        foreach (GroupMember member in _members.Values)
        {
            member.Assignment = default;
        }

        foreach ((string memberId, ReadOnlyMemory<byte> assignment) in request.Assignments)
        {
            if (_members.TryGetValue(memberId, out GroupMember? member))
            {
                member.Assignment = assignment;
            }
        }

        _state = GroupState.Stable;
        MetadataChanged();
        foreach (GroupMember member in _members.Values)
        {
            if (member.Sync is { } waiter)
            {
                member.Sync = null;
                Touch(member, nowMs);
                ReplyWhenDurable(waiter.Token, SyncReplyFor(member));
            }
        }
    }

    private void PrepareRebalance(long nowMs)
    {
        bool first = _state == GroupState.Empty;
        foreach (GroupMember member in _members.Values)
        {
            member.MustSync = false;
            if (_state == GroupState.CompletingRebalance)
            {
                member.Assignment = default;
            }

            if (member.Sync is not null)
            {
                AnswerWaits(member, ErrorCode.RebalanceInProgress);
                Touch(member, nowMs);
            }
        }

        _state = GroupState.PreparingRebalance;
        _syncDeadline = GroupMember.Never;
        _inInitialDelay = first;
        long delay = RebalanceTimeoutMs;
        if (first)
        {
            delay = _options.InitialRebalanceDelayMs;
            _initialDelayLeftMs = Math.Max(RebalanceTimeoutMs - delay, 0);
            _memberAddedInDelay = false;
        }

        _rebalanceDeadline = nowMs + delay;
        Arm(_rebalanceDeadline);
    }

    /// <summary>Completes the join phase if nobody is missing.</summary>
    private void TryCompleteJoin(long nowMs)
    {
        if (_state != GroupState.PreparingRebalance)
        {
            return;
        }

        if (_inInitialDelay)
        {
            if (nowMs >= _rebalanceDeadline)
            {
                EndInitialDelay(nowMs);
            }

            return;
        }

        if (_pendingMembers.Count == 0 && _members.Values.All(member => member.Joined))
        {
            CompleteJoin(nowMs);
        }
    }

    private void AdvanceRebalance(long nowMs)
    {
        if (_state == GroupState.PreparingRebalance && nowMs >= _rebalanceDeadline)
        {
            if (_inInitialDelay)
            {
                EndInitialDelay(nowMs);
            }
            else
            {
                CompleteJoin(nowMs);
            }
        }

        if (nowMs >= _syncDeadline)
        {
            _syncDeadline = GroupMember.Never;
            foreach (GroupMember member in _members.Values.Where(member => member.MustSync).ToArray())
            {
                RemoveAndRebalance(member, ErrorCode.UnknownMemberId, nowMs);
            }
        }
    }

    /// <summary>Members of a new group tend to come together: while they still do, the first rebalance waits on (KIP-134).</summary>
    private void EndInitialDelay(long nowMs)
    {
        if (_memberAddedInDelay && _initialDelayLeftMs > 0)
        {
            _memberAddedInDelay = false;
            long delay = Math.Min(_options.InitialRebalanceDelayMs, _initialDelayLeftMs);
            _initialDelayLeftMs -= delay;
            _rebalanceDeadline = nowMs + delay;
            Arm(_rebalanceDeadline);
            return;
        }

        CompleteJoin(nowMs);
    }

    private void CompleteJoin(long nowMs)
    {
        foreach (GroupMember member in _members.Values.Where(member => !member.Joined && member.InstanceId is null).ToArray())
        {
            RemoveMember(member, ErrorCode.UnknownMemberId);
        }

        if (_members.Count > 0 && !ElectLeader())
        {
            // Static members only, and none has come back: their sessions decide.
            _inInitialDelay = false;
            _rebalanceDeadline = nowMs + Math.Max(RebalanceTimeoutMs, 1);
            Arm(_rebalanceDeadline);
            return;
        }

        _rebalanceDeadline = GroupMember.Never;
        _inInitialDelay = false;
        _generation++;
        if (_members.Count == 0)
        {
            BecomeEmpty(nowMs);
        }
        else
        {
            AnnounceGeneration(nowMs);
        }
    }

    private void BecomeEmpty(long nowMs)
    {
        _state = GroupState.Empty;
        _protocolName = "";
        _leaderId = "";
        _emptySinceMs = nowMs;
        UpdateSubscribedTopics();
        MetadataChanged();
        ScheduleRetentionCheck(nowMs);
    }

    private void AnnounceGeneration(long nowMs)
    {
        _state = GroupState.CompletingRebalance;
        _protocolName = SelectProtocol();
        _emptySinceMs = -1;
        UpdateSubscribedTopics();
        MetadataChanged();
        _syncDeadline = nowMs + RebalanceTimeoutMs;
        Arm(_syncDeadline);
        foreach (GroupMember member in _members.Values)
        {
            member.Assignment = default;
            member.MustSync = member.Joined;
            member.Joined = false;
            if (member.Join is { } waiter)
            {
                member.Join = null;
                Touch(member, nowMs);
                ReplyWhenDurable(waiter.Token, JoinReplyFor(member, skipAssignment: false));
            }
        }
    }

    /// <summary>The leader stays if it has joined; otherwise the first that has takes its place.</summary>
    private bool ElectLeader()
    {
        if (_members.TryGetValue(_leaderId, out GroupMember? leader) && leader.Joined)
        {
            return true;
        }

        GroupMember? first = _members.Values.FirstOrDefault(member => member.Joined);
        _leaderId = first?.MemberId ?? _leaderId;
        return first is not null;
    }

    /// <summary>
    /// Each member votes for the first of its protocols that all support. Most votes win; between equals, the order of the
    /// longest-standing member decides.
    /// </summary>
    private string SelectProtocol()
    {
        var votes = new OrderedDictionary<string, int>(StringComparer.Ordinal);
        foreach (ProtocolChoice protocol in _members.GetAt(0).Value.Protocols)
        {
            if (_members.Values.All(member => member.Supports(protocol.Name)))
            {
                votes[protocol.Name] = 0;
            }
        }

        foreach (GroupMember member in _members.Values)
        {
            foreach (ProtocolChoice protocol in member.Protocols)
            {
                if (votes.TryGetValue(protocol.Name, out int count))
                {
                    votes[protocol.Name] = count + 1;
                    break;
                }
            }
        }

        return votes.Count == 0
            ? throw new InvalidOperationException("The members of the group have no protocol in common, though each was checked when it joined.")
            : votes.MaxBy(vote => vote.Value).Key;
    }
}
