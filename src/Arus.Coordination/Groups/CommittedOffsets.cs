using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>The committed offsets of a group, and those that will be when their transactions are committed.</summary>
internal sealed class CommittedOffsets
{
    private readonly GroupOptions _options;
    private readonly ReplyQueue _replies;
    private readonly Dictionary<TopicPartition, StoredOffset> _offsets = [];
    private readonly PendingOffsets _pending = new();
    private readonly HashSet<TopicPartition> _changed = [];

    public CommittedOffsets(
        GroupOptions options, ReplyQueue replies, IEnumerable<KeyValuePair<TopicPartition, StoredPartition>> stored)
    {
        (_options, _replies) = (options, replies);
        foreach ((TopicPartition partition, StoredPartition offsets) in stored)
        {
            if (offsets.Committed is { } committed)
                _offsets.Add(partition, committed);

            foreach (PendingOffset pending in offsets.Pending)
                _pending.Add(partition, pending);
        }
    }

    public bool IsEmpty => _offsets.Count == 0 && _pending.Count == 0;

    public bool HasChanges => _changed.Count > 0;

    /// <summary>The open transaction of a producer that has offsets pending; null if it has none.</summary>
    public OffsetTransaction? FindTransaction(long producerId) => _pending.Find(producerId)?.Transaction;

    /// <summary>
    /// Stores offsets. Metadata that is too long is refused for its partition alone, and so is an offset of a topic that is not there any
    /// more: its name, as the host has looked up, is another one's.
    /// </summary>
    /// <param name="transaction">The offsets are pending until it ends; null for a commit that counts at once.</param>
    public OffsetCommitResponse Commit(OffsetCommitRequest request, OffsetTransaction? transaction, long nowMs)
    {
        long expireAtMs = request.RetentionTimeMs < 0 ? -1 : nowMs + request.RetentionTimeMs;
        return CommitResponse(request, (topic, partition) =>
        {
            var key = new TopicPartition(topic.Name, partition.PartitionIndex);
            var offset = new StoredOffset(
                partition.CommittedOffset, partition.CommittedLeaderEpoch, partition.CommittedMetadata ?? "", nowMs, expireAtMs,
                topic.TopicId);
            ErrorCode error = Check(key, offset, transaction is not null);
            if (error == ErrorCode.None)
                Store(key, offset, transaction);

            return error;
        });
    }

    /// <summary>
    /// Ends a producer's transaction: its pending offsets are committed or forgotten. The response names them, with the error of a marker
    /// that is refused.
    /// </summary>
    public OffsetCommitResponse EndTransaction(OffsetTransaction marker, bool isCommit, bool raisesEpoch)
    {
        ErrorCode error = FindTransaction(marker.ProducerId) is { } open ? CheckMarker(marker, open, raisesEpoch) : ErrorCode.None;
        TopicPartition[] partitions = _pending.Of(marker.ProducerId);
        foreach (TopicPartition partition in error == ErrorCode.None ? partitions : [])
        {
            if (isCommit)
                _offsets[partition] = _pending.Commit(partition, marker.ProducerId).Offset;
            else
                _pending.Abort(partition, marker.ProducerId);

            NoteChange(partition);
        }

        return new OffsetCommitResponse
        {
            Topics =
            [
                .. partitions.GroupBy(partition => partition.Topic).Select(topic => new OffsetCommitResponse.OffsetCommitResponseTopic
                {
                    Name = topic.Key,
                    Partitions = [.. topic.Select(partition => new OffsetCommitResponse.OffsetCommitResponsePartition
                    {
                        PartitionIndex = partition.Partition, ErrorCode = error,
                    })],
                }),
            ],
        };
    }

    /// <summary>The topics of the stored offsets, each with the ids that the offsets have.</summary>
    /// <param name="names">Only of these; null for all.</param>
    public (string Name, Guid Id)[] FindTopics(IReadOnlyCollection<string>? names)
    {
        HashSet<string>? wanted = names is null ? null : new HashSet<string>(names, StringComparer.Ordinal);
        return
        [
            .. _offsets.Select(offset => (offset.Key.Topic, offset.Value.TopicId))
                .Concat(_pending.Partitions.SelectMany(
                    partition => _pending.Of(partition).Select(pending => (partition.Topic, pending.Offset.TopicId))))
                .Where(topic => wanted?.Contains(topic.Topic) != false).Distinct(),
        ];
    }

    /// <summary>Forgets the offsets of topics of this name but the present one, to which those without an id count.</summary>
    /// <param name="present">Empty if there is none of that name.</param>
    public void KeepTopic(string name, Guid present)
    {
        foreach (TopicPartition partition in _pending.Partitions.Where(partition => partition.Topic == name).ToArray())
        {
            if (!Array.TrueForAll(_pending.Of(partition), pending => pending.Offset.TopicId == present))
            {
                _pending.Remove(partition);
                NoteChange(partition);
            }
        }

        foreach ((TopicPartition partition, StoredOffset offset) in _offsets.Where(offset => offset.Key.Topic == name).ToArray())
        {
            if (offset.TopicId == present && present != Guid.Empty)
                continue;

            if (offset.TopicId == Guid.Empty && present != Guid.Empty)
                _offsets[partition] = offset with { TopicId = present };
            else
                _offsets.Remove(partition);

            NoteChange(partition);
        }
    }

    /// <summary>A response with an error for each partition of the request.</summary>
    public static OffsetCommitResponse CommitResponse(
        OffsetCommitRequest request,
        Func<OffsetCommitRequest.OffsetCommitRequestTopic, OffsetCommitRequest.OffsetCommitRequestPartition, ErrorCode> errorOf) => new()
        {
            Topics = Array.ConvertAll(request.Topics, topic => new OffsetCommitResponse.OffsetCommitResponseTopic
            {
                Name = topic.Name,
                Partitions = Array.ConvertAll(topic.Partitions, partition => new OffsetCommitResponse.OffsetCommitResponsePartition
                {
                    PartitionIndex = partition.PartitionIndex, ErrorCode = errorOf(topic, partition),
                }),
            }),
        };

    /// <summary>The offsets that are asked for, or all that are committed.</summary>
    /// <param name="requireStable">Refuses offsets that an open transaction may yet change (KIP-447).</param>
    public OffsetFetchResponse.OffsetFetchResponseGroup Fetch(OffsetFetchRequest.OffsetFetchRequestGroup request, bool requireStable) =>
        new()
        {
            GroupId = request.GroupId,
            Topics = request.Topics is null
                ? [.. _offsets.Keys.GroupBy(partition => partition.Topic, StringComparer.Ordinal).Select(
                    topic => TopicResponse(topic.Key, topic.Select(partition => Response(partition, requireStable))))]
                : Array.ConvertAll(request.Topics, topic => TopicResponse(
                    topic.Name, topic.PartitionIndexes.Select(partition => Response(new(topic.Name, partition), requireStable)))),
        };

    /// <summary>Forgets the offsets for which <paramref name="errorOf"/> has no error, and what is pending with them.</summary>
    public OffsetDeleteResponse Delete(OffsetDeleteRequest request, Func<string, ErrorCode> errorOf) => new()
    {
        Topics = Array.ConvertAll(request.Topics, topic => new OffsetDeleteResponse.OffsetDeleteResponseTopic
        {
            Name = topic.Name,
            Partitions = Array.ConvertAll(topic.Partitions, partition =>
            {
                ErrorCode error = errorOf(topic.Name);
                if (error == ErrorCode.None)
                    Forget(new TopicPartition(topic.Name, partition.PartitionIndex));

                return new OffsetDeleteResponse.OffsetDeleteResponsePartition
                {
                    PartitionIndex = partition.PartitionIndex, ErrorCode = error,
                };
            }),
        }),
    };

    /// <summary>Forgets offsets that expired. While a transaction has one of the partition, the partition is in use.</summary>
    public void Forget(Func<TopicPartition, StoredOffset, bool> isExpired)
    {
        TopicPartition[] expired =
        [
            .. _offsets.Where(offset => !_pending.Has(offset.Key) && isExpired(offset.Key, offset.Value)).Select(offset => offset.Key),
        ];
        Array.ForEach(expired, Forget);
    }

    /// <summary>Forgets all offsets and changes, with the group.</summary>
    public void Clear()
    {
        _offsets.Clear();
        _pending.Clear();
        _changed.Clear();
    }

    /// <summary>What has changed since the last call; null for a partition of which nothing is left.</summary>
    public KeyValuePair<TopicPartition, StoredPartition?>[] TakeChanges()
    {
        KeyValuePair<TopicPartition, StoredPartition?>[] changes =
            [.. _changed.Select(partition => KeyValuePair.Create(partition, FindStored(partition)))];
        _changed.Clear();
        return changes;
    }

    private ErrorCode Check(TopicPartition partition, StoredOffset offset, bool isPending)
    {
        bool IsOfAnotherTopic(Guid before) => before != offset.TopicId && before != Guid.Empty;
        return offset.Metadata.Length > _options.OffsetMetadataMaxLength ? ErrorCode.OffsetMetadataTooLarge
            : offset.TopicId == Guid.Empty ? ErrorCode.UnknownTopicOrPartition
            : Find(partition) is { } committed && IsOfAnotherTopic(committed.TopicId) ? ErrorCode.UnknownTopicId
            : Array.Exists(_pending.Of(partition), pending => IsOfAnotherTopic(pending.Offset.TopicId)) ? ErrorCode.UnknownTopicId
            : isPending && _pending.Count >= PendingOffsets.MaxCount ? ErrorCode.InvalidCommitOffsetSize
            : ErrorCode.None;
    }

    private void Store(TopicPartition partition, StoredOffset offset, OffsetTransaction? transaction)
    {
        if (transaction is { } open)
        {
            _pending.Add(partition, new PendingOffset(open, offset));
        }
        else
        {
            // The later commit, whatever becomes of the transactions that have offsets of the partition.
            _pending.Remove(partition);
            _offsets[partition] = offset;
        }

        NoteChange(partition);
    }

    /// <summary>
    /// A marker of a coordinator that another has taken the place of, or of an earlier transaction, ends nothing: it may have been on its
    /// way for long. Where every end raises the producer's epoch, one of the same epoch is of the transaction before (KIP-890).
    /// </summary>
    private static ErrorCode CheckMarker(OffsetTransaction marker, OffsetTransaction open, bool raisesEpoch) =>
        marker.CoordinatorEpoch < open.CoordinatorEpoch ? ErrorCode.TransactionCoordinatorFenced
        : marker.ProducerEpoch < open.ProducerEpoch || (raisesEpoch && marker.ProducerEpoch == open.ProducerEpoch)
            ? ErrorCode.InvalidProducerEpoch
        : ErrorCode.None;

    private StoredOffset? Find(TopicPartition partition) => _offsets.TryGetValue(partition, out StoredOffset offset) ? offset : null;

    private StoredPartition? FindStored(TopicPartition partition)
    {
        var stored = new StoredPartition(Find(partition), _pending.Of(partition));
        return stored.Committed is null && stored.Pending.Count == 0 ? null : stored;
    }

    private void Forget(TopicPartition partition)
    {
        if (FindStored(partition) is null)
            return;

        _offsets.Remove(partition);
        _pending.Remove(partition);
        NoteChange(partition);
    }

    private void NoteChange(TopicPartition partition)
    {
        _changed.Add(partition);
        _replies.NoteChange();
    }

    private static OffsetFetchResponse.OffsetFetchResponseTopics TopicResponse(
        string topic, IEnumerable<OffsetFetchResponse.OffsetFetchResponsePartitions> partitions) =>
        new() { Name = topic, Partitions = [.. partitions] };

    private OffsetFetchResponse.OffsetFetchResponsePartitions Response(TopicPartition partition, bool requireStable)
    {
        bool isUnstable = requireStable && _pending.Has(partition);
        StoredOffset? offset = isUnstable ? null : Find(partition);
        return new()
        {
            PartitionIndex = partition.Partition, CommittedOffset = offset?.Offset ?? -1, CommittedLeaderEpoch = offset?.LeaderEpoch ?? -1,
            Metadata = offset?.Metadata ?? "", ErrorCode = isUnstable ? ErrorCode.UnstableOffsetCommit : ErrorCode.None,
        };
    }
}
