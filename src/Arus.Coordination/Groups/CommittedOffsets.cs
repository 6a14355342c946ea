using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>The committed offsets of a group.</summary>
internal sealed class CommittedOffsets(
    GroupOptions options, ReplyQueue replies, IEnumerable<KeyValuePair<TopicPartition, StoredOffset>> stored)
{
    private readonly Dictionary<TopicPartition, StoredOffset> _offsets = new(stored);
    private readonly HashSet<TopicPartition> _changed = [];

    public int Count => _offsets.Count;

    public bool HasChanges => _changed.Count > 0;

    /// <summary>
    /// Stores offsets. Metadata that is too long is refused for its partition alone, and so is an offset of a topic that is not there any
    /// more: its name, as the host has looked up, is another one's.
    /// </summary>
    public OffsetCommitResponse Commit(OffsetCommitRequest request, long nowMs)
    {
        long expireAtMs = request.RetentionTimeMs < 0 ? -1 : nowMs + request.RetentionTimeMs;
        return CommitResponse(request, (topic, partition) =>
        {
            string metadata = partition.CommittedMetadata ?? "";
            if (metadata.Length > options.OffsetMetadataMaxLength)
                return ErrorCode.OffsetMetadataTooLarge;

            var key = new TopicPartition(topic.Name, partition.PartitionIndex);
            if (topic.TopicId == Guid.Empty)
                return ErrorCode.UnknownTopicOrPartition;

            if (_offsets.TryGetValue(key, out StoredOffset before) && before.TopicId != topic.TopicId && before.TopicId != Guid.Empty)
                return ErrorCode.UnknownTopicId;

            _offsets[key] = new StoredOffset(
                partition.CommittedOffset, partition.CommittedLeaderEpoch, metadata, nowMs, expireAtMs, topic.TopicId);
            NoteChange(key);
            return ErrorCode.None;
        });
    }

    /// <summary>The topics of the stored offsets, each with the ids that the offsets have.</summary>
    /// <param name="names">Only of these; null for all.</param>
    public (string Name, Guid Id)[] FindTopics(IReadOnlyCollection<string>? names)
    {
        HashSet<string>? wanted = names is null ? null : new HashSet<string>(names, StringComparer.Ordinal);
        return
        [
            .. _offsets.Where(offset => wanted?.Contains(offset.Key.Topic) != false)
                .Select(offset => (offset.Key.Topic, offset.Value.TopicId)).Distinct(),
        ];
    }

    /// <summary>Forgets the offsets of topics of this name but the present one, to which those without an id count.</summary>
    /// <param name="present">Empty if there is none of that name.</param>
    public void KeepTopic(string name, Guid present)
    {
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

    /// <summary>The offsets that are asked for, or all.</summary>
    public OffsetFetchResponse.OffsetFetchResponseGroup Fetch(OffsetFetchRequest.OffsetFetchRequestGroup request) => new()
    {
        GroupId = request.GroupId,
        Topics = request.Topics is null
            ? [.. _offsets.GroupBy(offset => offset.Key.Topic, StringComparer.Ordinal).Select(
                topic => TopicResponse(topic.Key, topic.Select(offset => Response(offset.Key.Partition, offset.Value))))]
            : Array.ConvertAll(request.Topics, topic => TopicResponse(
                topic.Name, topic.PartitionIndexes.Select(partition => Response(partition, Find(new(topic.Name, partition)))))),
    };

    /// <summary>Forgets the offsets for which <paramref name="errorOf"/> has no error.</summary>
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

    public void Forget(Func<TopicPartition, StoredOffset, bool> isExpired)
    {
        TopicPartition[] expired = [.. _offsets.Where(offset => isExpired(offset.Key, offset.Value)).Select(offset => offset.Key)];
        Array.ForEach(expired, Forget);
    }

    /// <summary>Forgets all offsets and changes, with the group.</summary>
    public void Clear()
    {
        _offsets.Clear();
        _changed.Clear();
    }

    /// <summary>What has changed since the last call; null for an offset that is forgotten.</summary>
    public KeyValuePair<TopicPartition, StoredOffset?>[] TakeChanges()
    {
        KeyValuePair<TopicPartition, StoredOffset?>[] changes =
            [.. _changed.Select(partition => KeyValuePair.Create(partition, Find(partition)))];
        _changed.Clear();
        return changes;
    }

    private StoredOffset? Find(TopicPartition partition) => _offsets.TryGetValue(partition, out StoredOffset offset) ? offset : null;

    private void Forget(TopicPartition partition)
    {
        if (_offsets.Remove(partition))
            NoteChange(partition);
    }

    private void NoteChange(TopicPartition partition)
    {
        _changed.Add(partition);
        replies.NoteChange();
    }

    private static OffsetFetchResponse.OffsetFetchResponseTopics TopicResponse(
        string topic, IEnumerable<OffsetFetchResponse.OffsetFetchResponsePartitions> partitions) =>
        new() { Name = topic, Partitions = [.. partitions] };

    private static OffsetFetchResponse.OffsetFetchResponsePartitions Response(int partition, StoredOffset? offset) => new()
    {
        PartitionIndex = partition, CommittedOffset = offset?.Offset ?? -1, CommittedLeaderEpoch = offset?.LeaderEpoch ?? -1,
        Metadata = offset?.Metadata ?? "",
    };
}
