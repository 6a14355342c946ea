namespace Arus.Coordination;

public sealed partial class ConsumerGroup
{
    /// <summary>
    /// A member joins, or joins again. The answer (a <see cref="JoinReply"/>) comes when the rebalance is complete, or says
    /// <c>Pending</c> after the wait limit; the member then repeats the call with the member id of that answer.
    /// </summary>
    public void Join(long token, JoinRequest request, long nowMs)
    {
        ErrorCode refusal = Refuse(request);
        if (refusal != ErrorCode.None)
        {
            Reply(token, JoinReply.Failed(refusal, request.MemberId));
            return;
        }

        if (request.MemberId.Length == 0)
        {
            JoinNew(token, request, nowMs);
        }
        else
        {
            JoinKnown(token, request, nowMs);
        }

        TryCompleteJoin(nowMs);
    }

    private ErrorCode Refuse(JoinRequest request)
    {
        if (request.SessionTimeoutMs < _options.MinSessionTimeoutMs || request.SessionTimeoutMs > _options.MaxSessionTimeoutMs)
        {
            return ErrorCode.InvalidSessionTimeout;
        }

        if (!_exists && request.MemberId.Length > 0)
        {
            return ErrorCode.UnknownMemberId;
        }

        if (!HasRoomFor(request))
        {
            return ErrorCode.GroupMaxSizeReached;
        }

        return SupportsProtocols(request) ? ErrorCode.None : ErrorCode.InconsistentGroupProtocol;
    }

    private bool HasRoomFor(JoinRequest request)
    {
        bool known = _members.TryGetValue(request.MemberId, out GroupMember? member)
            || (request.InstanceId is not null && _staticMembers.ContainsKey(request.InstanceId));
        return _state switch
        {
            GroupState.Empty => true,
            // Members of the last generation that do not come back leave their places to others.
            GroupState.PreparingRebalance => (member?.Joined ?? false) || _members.Values.Count(m => m.Joined) < _options.MaxSize,
            _ => known || _members.Count < _options.MaxSize,
        };
    }

    private bool SupportsProtocols(JoinRequest request)
    {
        if (request.ProtocolType.Length == 0 || request.Protocols.Count == 0)
        {
            return false;
        }

        return _members.Count == 0
            || (request.ProtocolType == _protocolType
                && request.Protocols.Any(protocol => _members.Values.All(member => member.Supports(protocol.Name))));
    }

    private void JoinNew(long token, JoinRequest request, long nowMs)
    {
        string memberId = $"{request.InstanceId ?? request.ClientId}-{_memberIds.Next()}";
        if (request.InstanceId is not null && _staticMembers.TryGetValue(request.InstanceId, out string? oldId))
        {
            ReplaceStaticMember(token, request, oldId, memberId, nowMs);
        }
        else if (request.InstanceId is null && request.RequireKnownMemberId)
        {
            if (_pendingMembers.Count >= MaxPendingMembers)
            {
                Reply(token, JoinReply.Failed(ErrorCode.GroupMaxSizeReached, ""));
                return;
            }

            _exists = true;
            if (_emptySinceMs < 0 && _members.Count == 0)
            {
                _emptySinceMs = nowMs;
            }

            _pendingMembers[memberId] = nowMs + request.SessionTimeoutMs;
            Arm(_pendingMembers[memberId]);
            Reply(token, JoinReply.Failed(ErrorCode.MemberIdRequired, memberId));
        }
        else
        {
            AddMember(token, request, memberId, nowMs);
        }
    }

    private void JoinKnown(long token, JoinRequest request, long nowMs)
    {
        if (request.InstanceId is null && _pendingMembers.Remove(request.MemberId))
        {
            AddMember(token, request, request.MemberId, nowMs);
            return;
        }

        ErrorCode error = CheckMember(new MemberRef(request.MemberId, request.InstanceId, -1), out GroupMember? member);
        if (member is null)
        {
            Reply(token, JoinReply.Failed(error, request.MemberId));
            return;
        }

        bool unchanged = member.Matches(request.Protocols);
        if (unchanged && (_state == GroupState.CompletingRebalance || (_state == GroupState.Stable && member.MemberId != _leaderId)))
        {
            // The member did not get its join reply, or a follower asks without need: it is told how things stand.
            Touch(member, nowMs);
            ReplyWhenDurable(token, JoinReplyFor(member, skipAssignment: false));
            return;
        }

        UpdateMember(member, request);
        AwaitJoin(member, token, nowMs);
        if (_state != GroupState.PreparingRebalance)
        {
            PrepareRebalance(nowMs);
        }
    }

    private void AddMember(long token, JoinRequest request, string memberId, long nowMs)
    {
        var member = new GroupMember(memberId, request.InstanceId, request.ClientId, request.ClientHost);
        UpdateMember(member, request);
        if (_members.Count == 0)
        {
            _protocolType = request.ProtocolType;
        }

        if (_leaderId.Length == 0)
        {
            _leaderId = memberId;
        }

        _exists = true;
        _members.Add(memberId, member);
        if (request.InstanceId is not null)
        {
            _staticMembers[request.InstanceId] = memberId;
        }

        if (_state == GroupState.PreparingRebalance && _generation == 0)
        {
            _memberAddedInDelay = true;
        }

        AwaitJoin(member, token, nowMs);
        if (_state != GroupState.PreparingRebalance)
        {
            PrepareRebalance(nowMs);
        }
    }

    /// <summary>A static member came back without its member id: it gets a new one, which fences the process that had the old (KIP-345).</summary>
    private void ReplaceStaticMember(long token, JoinRequest request, string oldId, string newId, long nowMs)
    {
        GroupMember member = _members[oldId];
        AnswerWaits(member, ErrorCode.FencedInstanceId);
        bool sameSubscription = HasSameTopics(member, request);
        bool wasLeader = _leaderId == oldId;
        int index = _members.IndexOf(oldId);
        _members.RemoveAt(index);
        _members.Insert(index, newId, member);
        member.MemberId = newId;
        _staticMembers[request.InstanceId!] = newId;
        if (wasLeader)
        {
            _leaderId = newId;
        }

        UpdateMember(member, request);
        if (_state == GroupState.Stable && sameSubscription && SelectProtocol() == _protocolName)
        {
            // Nobody else need notice. A client that knows KIP-814 may take up leadership without a new assignment; an older one is
            // told of a leader that is not itself, or it would assign.
            MetadataChanged();
            Touch(member, nowMs);
            JoinReply reply = JoinReplyFor(member, skipAssignment: wasLeader && request.SupportsSkippingAssignment);
            bool hideLeadership = wasLeader && !request.SupportsSkippingAssignment;
            ReplyWhenDurable(token, hideLeadership ? reply with { LeaderId = oldId, Members = [] } : reply);
            return;
        }

        AwaitJoin(member, token, nowMs);
        if (_state != GroupState.PreparingRebalance)
        {
            PrepareRebalance(nowMs);
        }
    }

    /// <summary>Whether a returning consumer wants the topics that it had; other protocol types are not looked into.</summary>
    private bool HasSameTopics(GroupMember member, JoinRequest request)
    {
        ReadOnlyMemory<byte>? metadata = request.Protocols.FirstOrDefault(protocol => protocol.Name == _protocolName)?.Metadata;
        if (_protocolType != ConsumerProtocolType || metadata is null)
        {
            return true;
        }

        var before = new HashSet<string>(StringComparer.Ordinal);
        var now = new HashSet<string>(StringComparer.Ordinal);
        return !SubscribedTopics.TryAddTo(before, member.MetadataFor(_protocolName))
            || !SubscribedTopics.TryAddTo(now, metadata.Value)
            || before.SetEquals(now);
    }

    private static void UpdateMember(GroupMember member, JoinRequest request)
    {
        member.ClientId = request.ClientId;
        member.ClientHost = request.ClientHost;
        member.SessionTimeoutMs = request.SessionTimeoutMs;
        member.RebalanceTimeoutMs = request.RebalanceTimeoutMs >= 0 ? request.RebalanceTimeoutMs : request.SessionTimeoutMs;
        member.Protocols = request.Protocols;
    }

    private void AwaitJoin(GroupMember member, long token, long nowMs)
    {
        // A second call of the same member takes the place of the first, whose caller has most likely gone.
        AnswerWaits(member, ErrorCode.RebalanceInProgress);
        member.Joined = true;
        member.MustSync = false;
        member.Join = new Waiter(token, nowMs + _waitLimitMs);
        member.SessionDeadline = GroupMember.Never;
        Arm(member.Join.AnswerBy);
    }

    private JoinReply JoinReplyFor(GroupMember member, bool skipAssignment)
    {
        MemberMetadata[] members = member.MemberId == _leaderId
            ? [.. _members.Values.Select(other => new MemberMetadata(other.MemberId, other.InstanceId, other.MetadataFor(_protocolName)))]
            : [];
        return new JoinReply(
            ErrorCode.None, false, member.MemberId, _generation, _protocolType, _protocolName, _leaderId, skipAssignment, members);
    }
}
