using Arus.Protocol;
using PartitionData = Arus.Protocol.FetchResponse.PartitionData;

namespace Arus.Kafka;

/// <summary>A partition as a fetch names it: by its topic's name, since version 13 by the topic's id.</summary>
internal readonly record struct FetchKey(string Topic, Guid TopicId, int Partition);

/// <summary>A partition of a fetch session: what the client asks of it, and what it was told last.</summary>
internal sealed class SessionPartition(FetchKey key, FetchRequest.FetchPartition request)
{
    private long _highWatermark = -1;
    private long _logStartOffset = -1;

    public FetchKey Key { get; } = key;

    /// <summary>Never changed itself; a later request brings another one.</summary>
    public FetchRequest.FetchPartition Request { get; set; } = request;

    /// <summary>The topic's name, once its id was found to stand for one.</summary>
    public string? TopicName { get; set; }

    /// <summary>Notes what the client is told, and answers whether there is anything new in it.</summary>
    public bool Update(PartitionData answer)
    {
        bool isError = answer.ErrorCode != ErrorCode.None;
        bool isNew = isError || answer.Records.Length > 0 || answer.HighWatermark != _highWatermark
            || answer.LogStartOffset != _logStartOffset || answer.DivergingEpoch is not null || answer.PreferredReadReplica >= 0;

        // When the error is over, the partition is told again.
        (_highWatermark, _logStartOffset) = (isError ? -1 : answer.HighWatermark, answer.LogStartOffset);
        return isNew;
    }
}

/// <summary>
/// What a client fetches, kept between its requests (KIP-227). A request names what changes, and is answered with the partitions that have
/// something new. Safe for use by any thread.
/// </summary>
/// <param name="id">Not 0.</param>
/// <param name="usesTopicIds">Whether its requests name topics by their ids.</param>
/// <param name="createdAt">On the clock of <see cref="TimeProvider.GetTimestamp"/>.</param>
internal sealed class FetchSession(int id, bool usesTopicIds, long createdAt, SessionPartition[] partitions)
{
    private readonly Lock _lock = new();

    /// <summary>
    /// In the order in which they are read: those that gave records go behind all others, so that under a limit of bytes each has its turn.
    /// </summary>
    private readonly LinkedList<SessionPartition> _order = new(partitions);

    private Dictionary<FetchKey, LinkedListNode<SessionPartition>>? _nodes;
    private int _epoch = 1;

    public int Id { get; } = id;

    public long CreatedAt { get; } = createdAt;

    /// <summary>Its place among the sessions by their last use. Guarded by the lock of <see cref="FetchSessions"/>.</summary>
    public LinkedListNode<FetchSession>? Place { get; set; }

    /// <summary>As above.</summary>
    public long LastUsedAt { get; set; }

    /// <summary>The number of partitions that it counts with. As above.</summary>
    public int CountedPartitions { get; set; } = partitions.Length;

    /// <summary>Takes a request's changes, and lists what is to be fetched now.</summary>
    /// <param name="maxAdded">How many partitions may come to it.</param>
    /// <param name="epoch">Of the session from now on.</param>
    /// <returns>None; or why the request is refused: then nothing has changed.</returns>
    public ErrorCode TryUpdate(
        FetchRequest request, bool byTopicId, long maxAdded, out SessionPartition[] partitions, out int epoch)
    {
        lock (_lock)
        {
            (partitions, epoch) = ([], _epoch);
            if (request.SessionEpoch != _epoch)
                return ErrorCode.InvalidFetchSessionEpoch;

            if (byTopicId != usesTopicIds)
                return ErrorCode.FetchSessionTopicIdError;

            if (request.Topics.Sum(topic => (long)topic.Partitions.Length) > maxAdded)
                return ErrorCode.FetchSessionIdNotFound;

            Apply(request);
            _epoch = epoch = _epoch == int.MaxValue ? 1 : _epoch + 1;
            partitions = [.. _order];
            return ErrorCode.None;
        }
    }

    /// <summary>Notes the answers, and tells which of them have something new; null when a later request was faster.</summary>
    /// <param name="epoch">As it was given with the partitions.</param>
    /// <param name="answers">One for each partition, in their order.</param>
    public bool[]? TryAnswer(int epoch, SessionPartition[] partitions, PartitionData[] answers)
    {
        lock (_lock)
        {
            if (_epoch != epoch)
                return null;

            var isNew = new bool[answers.Length];
            for (int i = 0; i < answers.Length; i++)
            {
                isNew[i] = partitions[i].Update(answers[i]);
                if (answers[i].Records.Length > 0 && Nodes.TryGetValue(partitions[i].Key, out LinkedListNode<SessionPartition>? node))
                {
                    _order.Remove(node);
                    _order.AddLast(node);
                }
            }

            return isNew;
        }
    }

    /// <summary>Made when it is needed: a client that never sends a second request costs less.</summary>
    private Dictionary<FetchKey, LinkedListNode<SessionPartition>> Nodes
    {
        get
        {
            if (_nodes is null)
            {
                _nodes = new(_order.Count);
                for (LinkedListNode<SessionPartition>? node = _order.First; node is not null; node = node.Next)
                    _nodes.Add(node.Value.Key, node);
            }

            return _nodes;
        }
    }

    private void Apply(FetchRequest request)
    {
        foreach (FetchRequest.FetchTopic topic in request.Topics)
        {
            foreach (FetchRequest.FetchPartition partition in topic.Partitions)
            {
                var key = new FetchKey(topic.Topic, topic.TopicId, partition.Partition);
                if (Nodes.TryGetValue(key, out LinkedListNode<SessionPartition>? node))
                    node.Value.Request = partition;
                else
                    Nodes.Add(key, _order.AddLast(new SessionPartition(key, partition)));
            }
        }

        foreach (FetchRequest.ForgottenTopic topic in request.ForgottenTopicsData)
        {
            foreach (int partition in topic.Partitions)
            {
                if (Nodes.Remove(new FetchKey(topic.Topic, topic.TopicId, partition), out LinkedListNode<SessionPartition>? node))
                    _order.Remove(node);
            }
        }
    }
}
