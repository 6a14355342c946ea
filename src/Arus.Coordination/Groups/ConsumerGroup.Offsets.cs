using System.Text;

namespace Arus.Coordination;

public sealed partial class ConsumerGroup
{
    private readonly Dictionary<TopicPartition, StoredOffset> _offsets = [];
    private readonly HashSet<TopicPartition> _changedOffsets = [];

    /// <summary>The topics that members are subscribed to; null when that is not known, which stands for all.</summary>
    private HashSet<string>? _subscribedTopics = [];
    private long _nextRetentionCheck;

    /// <summary>Stores offsets; the answer (an <see cref="ErrorsReply"/>) comes when they are durable.</summary>
    /// <param name="token">Comes back with the answer.</param>
    /// <param name="caller">Generation -1 and no member id for a consumer without a group, or a tool.</param>
    /// <param name="retentionMs">-1 for the broker's <c>offsets.retention.minutes</c>.</param>
    /// <param name="offsets">What to store; metadata that is too long is refused for its partition alone.</param>
    /// <param name="nowMs">The time.</param>
    public void CommitOffsets(long token, MemberRef caller, long retentionMs, IReadOnlyList<OffsetToCommit> offsets, long nowMs)
    {
        ErrorCode refusal = CheckCommit(caller, out GroupMember? member);
        var errors = new ErrorCode[offsets.Count];
        if (refusal != ErrorCode.None)
        {
            Array.Fill(errors, refusal);
            Reply(token, new ErrorsReply(errors));
            return;
        }

        if (member is not null)
        {
            Touch(member, nowMs);
        }

        bool changed = false;
        for (int i = 0; i < errors.Length; i++)
        {
            OffsetToCommit offset = offsets[i];
            string metadata = offset.Metadata ?? "";
            if (metadata.Length > _options.OffsetMetadataMaxBytes || Encoding.UTF8.GetByteCount(metadata) > _options.OffsetMetadataMaxBytes)
            {
                errors[i] = ErrorCode.OffsetMetadataTooLarge;
                continue;
            }

            _offsets[offset.Partition] = new StoredOffset(
                offset.Offset, offset.LeaderEpoch, metadata, nowMs, retentionMs < 0 ? -1 : nowMs + retentionMs);
            _changedOffsets.Add(offset.Partition);
            changed = true;
        }

        if (changed)
        {
            if (!_stored)
            {
                _emptySinceMs = _members.Count == 0 ? nowMs : -1;
                MetadataChanged();
                ScheduleRetentionCheck(nowMs);
            }

            _sequence++;
        }

        ReplyWhenDurable(token, new ErrorsReply(errors));
    }

    /// <summary>Reads offsets (an <see cref="OffsetsReply"/>); null asks for all. What is answered is durable.</summary>
    public void FetchOffsets(long token, IReadOnlyList<TopicPartition>? partitions)
    {
        KeyValuePair<TopicPartition, StoredOffset?>[] found = partitions is null
            ? [.. _offsets.Select(entry => new KeyValuePair<TopicPartition, StoredOffset?>(entry.Key, entry.Value))]
            : [.. partitions.Select(partition => new KeyValuePair<TopicPartition, StoredOffset?>(
                partition, _offsets.TryGetValue(partition, out StoredOffset offset) ? offset : null))];
        ReplyWhenDurable(token, new OffsetsReply(found));
    }

    /// <summary>Forgets offsets of topics that no member is subscribed to (KIP-496); one error each, in order.</summary>
    public void DeleteOffsets(long token, IReadOnlyList<TopicPartition> partitions)
    {
        var errors = new ErrorCode[partitions.Count];
        for (int i = 0; i < errors.Length; i++)
        {
            errors[i] = !_exists ? ErrorCode.GroupIdNotFound
                : _members.Count == 0 ? ErrorCode.None
                : _protocolType != ConsumerProtocolType ? ErrorCode.NonEmptyGroup
                : _subscribedTopics is null || _subscribedTopics.Contains(partitions[i].Topic) ? ErrorCode.GroupSubscribedToTopic
                : ErrorCode.None;
            if (errors[i] == ErrorCode.None)
            {
                Forget(partitions[i]);
            }
        }

        ReplyWhenDurable(token, new ErrorsReply(errors));
    }

    /// <summary>Deletes a group without members, with its offsets (an <see cref="ErrorReply"/>).</summary>
    public void Delete(long token)
    {
        ErrorCode error = !_exists ? ErrorCode.GroupIdNotFound : _state != GroupState.Empty ? ErrorCode.NonEmptyGroup : ErrorCode.None;
        if (error == ErrorCode.None)
        {
            Vanish();
        }

        ReplyWhenDurable(token, new ErrorReply(error));
    }

    private ErrorCode CheckCommit(MemberRef caller, out GroupMember? member)
    {
        member = null;
        if (caller.Generation < 0 && _state == GroupState.Empty)
        {
            return ErrorCode.None;
        }

        if (!_exists)
        {
            return ErrorCode.IllegalGeneration;
        }

        if (caller.Generation < 0 && caller.MemberId.Length == 0 && caller.InstanceId is null)
        {
            // Members own the offsets of a group that has any.
            return ErrorCode.UnknownMemberId;
        }

        ErrorCode error = CheckMember(caller, out member);
        if (error != ErrorCode.None)
        {
            return error;
        }

        // While members join, those of the last generation may still commit: that is how they hand over. Once the next one is announced
        // the member has its join reply, and must take it before it commits.
        return caller.Generation != _generation ? ErrorCode.IllegalGeneration
            : _state == GroupState.CompletingRebalance ? ErrorCode.RebalanceInProgress
            : ErrorCode.None;
    }

    private void Forget(TopicPartition partition)
    {
        if (_offsets.Remove(partition))
        {
            _changedOffsets.Add(partition);
            _sequence++;
        }
    }

    private void Vanish()
    {
        _exists = false;
        _stored = false;
        _state = GroupState.Empty;
        _generation = 0;
        _protocolType = "";
        _emptySinceMs = -1;
        _offsets.Clear();
        _pendingMembers.Clear();
        _changedOffsets.Clear();
        _metadataChanged = false;
        _clear = true;
        _sequence++;
    }

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

        foreach ((TopicPartition partition, StoredOffset offset) in _offsets.ToArray())
        {
            if (IsExpired(partition, offset, nowMs))
            {
                Forget(partition);
            }
        }

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
        bool unsubscribed = _state == GroupState.Stable && _protocolType == ConsumerProtocolType
            && _subscribedTopics is not null && !_subscribedTopics.Contains(partition.Topic);
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

    private void UpdateSubscribedTopics()
    {
        _subscribedTopics = new HashSet<string>(StringComparer.Ordinal);
        foreach (GroupMember member in _members.Values)
        {
            if (!SubscribedTopics.TryAddTo(_subscribedTopics, member.MetadataFor(_protocolName)))
            {
                _subscribedTopics = null;
                return;
            }
        }
    }
}
