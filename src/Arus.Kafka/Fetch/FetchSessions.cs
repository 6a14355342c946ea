using System.Security.Cryptography;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>
/// The fetch sessions of this broker (KIP-227), so that a client need not name all its partitions in each fetch, nor be told of all in each
/// answer. Bounded by sessions and by their partitions; who gets none fetches without. Safe for use by any thread.
/// </summary>
internal sealed class FetchSessions(KafkaListenerOptions options, KafkaMetrics metrics, TimeProvider time)
{
    /// <summary>Partitions of all sessions, some 200 bytes each.</summary>
    internal const int MaxPartitions = 500_000;

    /// <summary>Partitions of one session: as many as one request may name.</summary>
    private const int MaxPartitionsOfOne = 100_000;

    /// <summary>A session used within this time, or younger, is not evicted. As in Kafka, where it is no setting, either.</summary>
    private static readonly TimeSpan MinEvictionAge = TimeSpan.FromMinutes(2);

    private readonly Lock _lock = new();
    private readonly Dictionary<int, FetchSession> _sessions = [];

    /// <summary>Those that were not used for the longest time come first.</summary>
    private readonly LinkedList<FetchSession> _byUse = new();

    private long _partitions;

    /// <summary>What a request fetches, and the session that it belongs to.</summary>
    public FetchContext Begin(FetchRequest request, bool byTopicId)
    {
        // A full fetch ends the session that it names, and begins another one, or none with epoch -1.
        if (request.SessionEpoch is 0 or -1)
        {
            Remove(request.SessionId);
            return FetchContext.Full(request, request.SessionEpoch == 0 ? this : null, byTopicId);
        }

        FetchSession? session;
        long room;
        lock (_lock)
        {
            _sessions.TryGetValue(request.SessionId, out session);
            room = Math.Min(MaxPartitions - _partitions, MaxPartitionsOfOne - (session?.CountedPartitions ?? 0));
        }

        if (session is null)
            return FetchContext.Refused(ErrorCode.FetchSessionIdNotFound);

        ErrorCode error = session.TryUpdate(request, byTopicId, room, out SessionPartition[] partitions, out int epoch);
        if (error != ErrorCode.None)
        {
            if (error == ErrorCode.FetchSessionIdNotFound)
                Remove(session.Id);

            return FetchContext.Refused(error);
        }

        if (partitions.Length == 0)
        {
            Remove(session.Id);
            return FetchContext.Full(request, null, byTopicId);
        }

        Touch(session, partitions.Length);
        return FetchContext.Incremental(session, epoch, partitions);
    }

    /// <summary>Opens a session; 0 when there is no room for it.</summary>
    public int TryOpen(SessionPartition[] partitions, bool byTopicId)
    {
        lock (_lock)
        {
            long now = time.GetTimestamp();
            while (_sessions.Count >= options.MaxFetchSessions || _partitions + partitions.Length > MaxPartitions)
            {
                if (FindEvictable(partitions.Length, now) is not { } evicted)
                    return 0;

                RemoveCounted(evicted);
                metrics.FetchSessionEvicted();
            }

            int id;
            do
            {
                id = RandomNumberGenerator.GetInt32(1, int.MaxValue); // Not to be guessed: who knows it can end the session.
            }
            while (_sessions.ContainsKey(id));

            var session = new FetchSession(id, byTopicId, now, partitions) { LastUsedAt = now };
            session.Place = _byUse.AddLast(session);
            _sessions.Add(id, session);
            Count(1, partitions.Length);
            return id;
        }
    }

    /// <summary>One that was not used for a while; else the smallest that is no longer new, if it is smaller than the newcomer.</summary>
    private FetchSession? FindEvictable(int newcomer, long now)
    {
        if (_byUse.First is not { Value: var oldest } || time.GetElapsedTime(oldest.LastUsedAt, now) > MinEvictionAge)
            return _byUse.First?.Value;

        FetchSession? smallest = _byUse.Where(session => time.GetElapsedTime(session.CreatedAt, session.LastUsedAt) > MinEvictionAge)
            .MinBy(session => session.CountedPartitions);
        return smallest?.CountedPartitions < newcomer ? smallest : null;
    }

    private void Touch(FetchSession session, int partitions)
    {
        lock (_lock)
        {
            if (!_sessions.ContainsKey(session.Id))
                return; // It was evicted meanwhile; the next request learns of it.

            session.LastUsedAt = time.GetTimestamp();
            _byUse.Remove(session.Place!);
            _byUse.AddLast(session.Place!);
            Count(0, partitions - session.CountedPartitions);
            session.CountedPartitions = partitions;
        }
    }

    private void Remove(int id)
    {
        lock (_lock)
        {
            if (_sessions.TryGetValue(id, out FetchSession? session))
                RemoveCounted(session);
        }
    }

    private void RemoveCounted(FetchSession session)
    {
        _sessions.Remove(session.Id);
        _byUse.Remove(session.Place!);
        Count(-1, -session.CountedPartitions);
    }

    private void Count(int sessions, int partitions)
    {
        _partitions += partitions;
        metrics.FetchSessionsChanged(sessions, partitions);
    }
}
