using Arus.Protocol;

namespace Arus.Coordination;

/// <content>The requests of members and tools.</content>
public sealed partial class ConsumerGroup
{
    /// <summary>A new dynamic member is first given an id, so that a repetition of its join is no second member (KIP-394).</summary>
    private const short MemberIdRequiredSince = 4;

    /// <summary>A static leader that comes back may keep the assignment as it is (KIP-814).</summary>
    private const short SkipAssignmentSince = 9;

    /// <summary>A member joins, or joins again. Answered when the rebalance is complete.</summary>
    private void Join(long call, JoinGroupRequest request, Caller caller, long nowMs)
    {
        ErrorCode error = CheckJoin(request, caller);
        if (error != ErrorCode.None)
            _replies.Send(call, FailedJoin(error, request.MemberId));
        else if (request.MemberId.Length == 0)
            JoinNew(call, request, caller, nowMs);
        else
            JoinKnown(call, request, caller, nowMs);

        TryCompleteJoin(nowMs);
    }

    private ErrorCode CheckJoin(JoinGroupRequest request, Caller caller) =>
        request.SessionTimeoutMs < _options.MinSessionTimeoutMs || request.SessionTimeoutMs > _options.MaxSessionTimeoutMs
            ? ErrorCode.InvalidSessionTimeout
        : !_exists && request.MemberId.Length > 0 ? ErrorCode.UnknownMemberId
        : !_members.HaveRoomFor(request, _state, _options.MaxSize)
            || !_members.HaveRoomForMetadata(request, caller, MaxMetadataBytes) ? ErrorCode.GroupMaxSizeReached
        : request.ProtocolType.Length == 0 || !_members.HaveInCommon(request.Protocols)
            || (_members.Count > 0 && request.ProtocolType != _protocolType) ? ErrorCode.InconsistentGroupProtocol
        : ErrorCode.None;

    private void JoinNew(long call, JoinGroupRequest request, Caller caller, long nowMs)
    {
        string memberId = $"{request.GroupInstanceId ?? caller.ClientId}-{_newMemberId()}";
        if (request.GroupInstanceId is not null && _members.FindStatic(request.GroupInstanceId) is { } member)
        {
            ReplaceStaticMember(call, member, memberId, request, caller, nowMs);
        }
        else if (request.GroupInstanceId is not null || caller.ApiVersion < MemberIdRequiredSince)
        {
            AddMember(call, memberId, request, caller, nowMs);
        }
        else if (_pendingMembers.Count >= MaxPendingMembers
            || _pendingMembers.Keys.Sum(id => (long)id.Length) + memberId.Length > MaxMetadataBytes)
        {
            _replies.Send(call, FailedJoin(ErrorCode.GroupMaxSizeReached, ""));
        }
        else
        {
            Create();
            _emptySinceMs = _emptySinceMs < 0 && _members.Count == 0 ? nowMs : _emptySinceMs;
            _pendingMembers[memberId] = nowMs + request.SessionTimeoutMs;
            Arm(_pendingMembers[memberId]);
            _replies.Send(call, FailedJoin(ErrorCode.MemberIdRequired, memberId));
        }
    }

    private void JoinKnown(long call, JoinGroupRequest request, Caller caller, long nowMs)
    {
        if (request.GroupInstanceId is null && _pendingMembers.Remove(request.MemberId))
        {
            AddMember(call, request.MemberId, request, caller, nowMs);
            return;
        }

        ErrorCode error = _members.Check(request.MemberId, request.GroupInstanceId, out GroupMember? member);
        if (member is null)
        {
            _replies.Send(call, FailedJoin(error, request.MemberId));
            return;
        }

        bool isFollower = member.MemberId != _members.LeaderId;
        if (member.Matches(request.Protocols)
            && (_state == GroupState.CompletingRebalance || (_state == GroupState.Stable && isFollower)))
        {
            // The member did not get its join response, or a follower joins without need: it is told how things stand.
            Touch(member, nowMs);
            _replies.SendWhenDurable(call, JoinResponse(member));
            return;
        }

        Update(member, request, caller);
        AwaitJoin(member, call, nowMs);
    }

    private void AddMember(long call, string memberId, JoinGroupRequest request, Caller caller, long nowMs)
    {
        var member = new GroupMember(memberId, request.GroupInstanceId);
        Update(member, request, caller);
        _protocolType = _members.Count == 0 ? request.ProtocolType : _protocolType;
        Create();
        _members.Add(member);
        _memberAddedInDelay |= _state == GroupState.PreparingRebalance && Generation == 0;
        AwaitJoin(member, call, nowMs);
    }

    /// <summary>A static member came back without its member id: a new one fences the process that had the old (KIP-345).</summary>
    private void ReplaceStaticMember(
        long call, GroupMember member, string memberId, JoinGroupRequest request, Caller caller, long nowMs)
    {
        EndWait(member, ErrorCode.FencedInstanceId);
        HashSet<string>? topics = member.SubscribedTopics(_protocolName);
        string oldId = member.MemberId;
        bool wasLeader = _members.LeaderId == oldId;
        _members.Rename(member, memberId);
        Update(member, request, caller);
        if (_state == GroupState.Stable && HasTopics(member, topics) && _members.SelectProtocol() == _protocolName)
        {
            // No other member need notice. A client that knows KIP-814 may lead again without a new assignment; an older one is told of a
            // leader that is not itself, or it would assign.
            NoteMetadataChange();
            Touch(member, nowMs);
            JoinGroupResponse response = JoinResponse(member);
            response.SkipAssignment = wasLeader && caller.ApiVersion >= SkipAssignmentSince;
            if (wasLeader && !response.SkipAssignment)
            {
                response.Leader = oldId;
                response.Members = [];
            }

            _replies.SendWhenDurable(call, response);
            return;
        }

        AwaitJoin(member, call, nowMs);
    }

    /// <summary>Whether a consumer that came back subscribes to the topics that it had; other protocol types are not looked into.</summary>
    private bool HasTopics(GroupMember member, HashSet<string>? topics) =>
        _protocolType != ConsumerProtocolType || !member.Supports(_protocolName) || topics is null
        || member.SubscribedTopics(_protocolName) is not { } now || topics.SetEquals(now);

    private static void Update(GroupMember member, JoinGroupRequest request, Caller caller)
    {
        member.ClientId = caller.ClientId;
        member.ClientHost = caller.ClientHost;
        member.SessionTimeoutMs = request.SessionTimeoutMs;
        member.RebalanceTimeoutMs = request.RebalanceTimeoutMs >= 0 ? request.RebalanceTimeoutMs : request.SessionTimeoutMs;
        member.Protocols = request.Protocols;
    }

    private void AwaitJoin(GroupMember member, long call, long nowMs)
    {
        member.Joined = true;
        member.MustSync = false;
        Await(member, call, isJoin: true, nowMs);
        if (_state != GroupState.PreparingRebalance)
            PrepareRebalance(nowMs);
    }

    private JoinGroupResponse JoinResponse(GroupMember member) => new()
    {
        GenerationId = Generation,
        ProtocolType = _protocolType,
        ProtocolName = _protocolName,
        Leader = _members.LeaderId,
        MemberId = member.MemberId,
        Members = member.MemberId != _members.LeaderId ? [] : [.. _members.All.Select(other => new JoinGroupResponse.JoinGroupResponseMember
        {
            MemberId = other.MemberId, GroupInstanceId = other.InstanceId, Metadata = other.MetadataFor(_protocolName),
        })],
    };

    private static JoinGroupResponse FailedJoin(ErrorCode error, string memberId) =>
        new() { ErrorCode = error, MemberId = memberId, ProtocolName = null };

    /// <summary>A member asks for its assignment, and the leader brings those of all. Answered when the leader has.</summary>
    private void Sync(long call, SyncGroupRequest request, long nowMs)
    {
        ErrorCode error = _members.Check(request.MemberId, request.GroupInstanceId, out GroupMember? member);
        error = error != ErrorCode.None ? error
            : request.GenerationId != Generation ? ErrorCode.IllegalGeneration
            : (request.ProtocolType ?? _protocolType) != _protocolType ? ErrorCode.InconsistentGroupProtocol
            : (request.ProtocolName ?? _protocolName) != _protocolName ? ErrorCode.InconsistentGroupProtocol
            : _state == GroupState.PreparingRebalance ? ErrorCode.RebalanceInProgress
            : request.Assignments.Sum(assignment => (long)assignment.Assignment.Length) > MaxMetadataBytes
                ? ErrorCode.GroupMaxSizeReached
            : ErrorCode.None;
        if (member is null || error != ErrorCode.None)
        {
            _replies.Send(call, new SyncGroupResponse { ErrorCode = error });
            return;
        }

        member.MustSync = false;
        if (_state == GroupState.Stable)
        {
            Touch(member, nowMs);
            _replies.SendWhenDurable(call, SyncResponse(member));
            return;
        }

        Await(member, call, isJoin: false, nowMs);
        if (member.MemberId == _members.LeaderId)
            CompleteRebalance(request.Assignments, nowMs);
    }

    private SyncGroupResponse SyncResponse(GroupMember member) =>
        new() { ProtocolType = _protocolType, ProtocolName = _protocolName, Assignment = member.Assignment };

    /// <summary>A sign of life; the response says whether the member has to join again.</summary>
    private ErrorCode Heartbeat(HeartbeatRequest request, long nowMs)
    {
        ErrorCode error = _members.Check(request.MemberId, request.GroupInstanceId, out GroupMember? member);
        if (member is null || request.GenerationId != Generation)
            return member is null ? error : ErrorCode.IllegalGeneration;

        Touch(member, nowMs);
        return _state == GroupState.PreparingRebalance ? ErrorCode.RebalanceInProgress : ErrorCode.None;
    }

    /// <summary>Removes members; a static one may be named by its instance id alone (KIP-345).</summary>
    private LeaveGroupResponse Leave(LeaveGroupRequest request, long nowMs) => new()
    {
        Members = Array.ConvertAll(request.Members, member => new LeaveGroupResponse.MemberResponse
        {
            MemberId = member.MemberId, GroupInstanceId = member.GroupInstanceId, ErrorCode = Leave(member, nowMs),
        }),
    };

    private ErrorCode Leave(LeaveGroupRequest.MemberIdentity leaving, long nowMs)
    {
        if (leaving.GroupInstanceId is null && _pendingMembers.Remove(leaving.MemberId))
        {
            TryCompleteJoin(nowMs);
            return ErrorCode.None;
        }

        GroupMember? member =
            leaving.MemberId.Length == 0 && leaving.GroupInstanceId is not null ? _members.FindStatic(leaving.GroupInstanceId) : null;
        ErrorCode error = member is null ? _members.Check(leaving.MemberId, leaving.GroupInstanceId, out member) : ErrorCode.None;
        if (member is not null)
            RemoveAndRebalance(other => other == member, nowMs);

        return error;
    }

    /// <summary>Stores offsets, for a member or, without member id and generation, for a consumer without a group or a tool.</summary>
    private void CommitOffsets(long call, OffsetCommitRequest request, long nowMs)
    {
        ErrorCode error = _members.CheckCommit(request, State, Generation, out GroupMember? member);
        if (error != ErrorCode.None)
        {
            _replies.Send(call, RefuseCommit(request, error));
            return;
        }

        if (member is not null)
            Touch(member, nowMs);

        StoreOffsets(call, request, transaction: null, nowMs);
    }

    private void StoreOffsets(long call, OffsetCommitRequest request, OffsetTransaction? transaction, long nowMs)
    {
        OffsetCommitResponse response = _offsets.Commit(request, transaction, nowMs);
        if (!_stored && _offsets.HasChanges)
        {
            _emptySinceMs = _members.Count == 0 ? nowMs : -1;
            NoteMetadataChange();
            ScheduleRetentionCheck(nowMs);
        }

        _replies.SendWhenDurable(call, response);
    }

    /// <summary>Forgets offsets of topics that no member is subscribed to (KIP-496).</summary>
    private OffsetDeleteResponse DeleteOffsets(OffsetDeleteRequest request) =>
        !_exists ? new OffsetDeleteResponse { ErrorCode = ErrorCode.GroupIdNotFound }
        : _members.Count > 0 && _protocolType != ConsumerProtocolType ? new OffsetDeleteResponse { ErrorCode = ErrorCode.NonEmptyGroup }
        : _offsets.Delete(
            request, topic => _members.Count > 0 && IsSubscribed(topic) ? ErrorCode.GroupSubscribedToTopic : ErrorCode.None);
}
