using Arus.Protocol;

namespace Arus.Coordination;

/// <content>When offsets may be committed and deleted, and when they expire.</content>
public sealed partial class ConsumerGroup
{
    /// <summary>The topics that members are subscribed to; null when that is not known, which stands for all.</summary>
    private HashSet<string>? _subscribedTopics = [];
    private long _nextRetentionCheck;

    /// <summary>Stores offsets, for a member or, without member id and generation, for a consumer without a group or a tool.</summary>
    private void CommitOffsets(long call, OffsetCommitRequest request, long nowMs)
    {
        ErrorCode error = CheckCommit(request, out GroupMember? member);
        if (error != ErrorCode.None)
        {
            _replies.Send(call, CommittedOffsets.CommitResponse(request, (_, _) => error));
            return;
        }

        if (member is not null)
        {
            Touch(member, nowMs);
        }

        OffsetCommitResponse response = _offsets.Commit(request, nowMs);
        if (!_stored && _offsets.HasChanges)
        {
            _emptySinceMs = _members.Count == 0 ? nowMs : -1;
            NoteMetadataChange();
            ScheduleRetentionCheck(nowMs);
        }

        _replies.SendWhenDurable(call, response);
    }

    private ErrorCode CheckCommit(OffsetCommitRequest request, out GroupMember? member)
    {
        member = null;
        int generation = request.GenerationIdOrMemberEpoch;
        if (generation < 0 && _state == GroupState.Empty)
        {
            return ErrorCode.None;
        }

        if (!_exists)
        {
            return ErrorCode.IllegalGeneration;
        }

        if (generation < 0 && request.MemberId.Length == 0 && request.GroupInstanceId is null)
        {
            // Members own the offsets of a group that has any.
            return ErrorCode.UnknownMemberId;
        }

        // While members join, those of the last generation may still commit: that is how they hand over. Once the next one is announced
        // the member has its join response, and must take it before it commits.
        ErrorCode error = _members.Check(request.MemberId, request.GroupInstanceId, out member);
        return error != ErrorCode.None ? error
            : generation != _generation ? ErrorCode.IllegalGeneration
            : _state == GroupState.CompletingRebalance ? ErrorCode.RebalanceInProgress
            : ErrorCode.None;
    }

    /// <summary>Forgets offsets of topics that no member is subscribed to (KIP-496).</summary>
    private void DeleteOffsets(long call, OffsetDeleteRequest request) => _replies.SendWhenDurable(call, _exists
        ? _offsets.Delete(request, topic => _members.Count == 0 ? ErrorCode.None
            : _protocolType != ConsumerProtocolType ? ErrorCode.NonEmptyGroup
            : IsSubscribed(topic) ? ErrorCode.GroupSubscribedToTopic
            : ErrorCode.None)
        : new OffsetDeleteResponse { ErrorCode = ErrorCode.GroupIdNotFound });

    private void ScheduleRetentionCheck(long nowMs)
    {
        _nextRetentionCheck = nowMs + _options.OffsetsRetentionCheckIntervalMs;
        Arm(_nextRetentionCheck);
    }

    private void ExpireOffsets(long nowMs)
    {
        if (nowMs < _nextRetentionCheck)
        {
            return;
        }

        ScheduleRetentionCheck(nowMs);
        if (!_exists)
        {
            return;
        }

        _offsets.Forget((partition, offset) => IsExpired(partition, offset, nowMs));

        // Not at once: generations begin anew with the next group of the name, and members of the last one may not know yet.
        bool settled = nowMs - _emptySinceMs >= _options.OffsetsRetentionCheckIntervalMs;
        if (_offsets.Count == 0 && _state == GroupState.Empty && _pendingMembers.Count == 0 && settled)
        {
            Vanish();
        }
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
        {
            return false;
        }

        if (offset.ExpireAtMs >= 0)
        {
            return nowMs >= offset.ExpireAtMs;
        }

        // A tool may have set the offset after the group became empty: the later of the two counts.
        long since = abandoned && _protocolType.Length > 0 ? Math.Max(_emptySinceMs, offset.CommittedAtMs) : offset.CommittedAtMs;
        return nowMs - since >= _options.OffsetsRetentionMs;
    }

    private bool IsSubscribed(string topic) => _subscribedTopics is null || _subscribedTopics.Contains(topic);
}
