using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Arus.Storage;

/// <summary>
/// What is published of a log: its segments, its epochs, its offsets, and the tail cache. The only owner of the segments and of the
/// lock that guards them. Thread-safe; changes of the list are made on the log's I/O thread only.
/// </summary>
internal sealed class SegmentList
{
    private readonly LogLock _lock = new(LockRank.Leaf);
    private readonly LeaderEpochs _epochs;
    private TransactionOffsets _transactions;
    private Segment[] _segments;
    private long _logStart;
    private long _logEnd;
    private long _durableEnd;
    private long _highWatermark;
    private long _lastStable;
    private long _sizeBytes;
    private int _generation;

    public SegmentList(TailCacheBudget budget, LoadedLog loaded)
    {
        Tail = new TailCache(budget, _lock);
        _segments = [.. loaded.Segments];
        (_epochs, _transactions) = (loaded.Epochs, loaded.Transactions);
        _logStart = loaded.LogStartOffset;
        _durableEnd = _logEnd = loaded.LogEndOffset;
        IsReplicated = loaded.Replica is not null;
        _highWatermark = loaded.Replica?.HighWatermark ?? _durableEnd;
        _sizeBytes = _segments.Sum(segment => (long)segment.Size);
        MoveLastStable();
        AssertInvariants();
    }

    /// <summary>The recent batches in memory, guarded by the same lock.</summary>
    public TailCache Tail { get; }

    /// <summary>The segments in offset order. A change replaces the array and leaves the old one as it is.</summary>
    public Segment[] All => Volatile.Read(ref _segments);

    public Segment Active => All[^1];

    public long LogStartOffset => Volatile.Read(ref _logStart);

    public long LogEndOffset => Volatile.Read(ref _logEnd);

    /// <summary>Everything before it is written, to the degree of the flush policy.</summary>
    public long DurableEndOffset => Volatile.Read(ref _durableEnd);

    /// <summary>Of a log that is not replicated, the durable end.</summary>
    public long HighWatermark => Volatile.Read(ref _highWatermark);

    /// <summary>No record before it belongs to a transaction that is not decided; at most the high watermark.</summary>
    public long LastStableOffset => Volatile.Read(ref _lastStable);

    public bool IsReplicated { get; }

    /// <summary>What consumers may see ends here; what is written does not end later unless the log is replicated.</summary>
    public long VisibleEnd => IsReplicated ? HighWatermark : long.MaxValue;

    public long SizeBytes => Volatile.Read(ref _sizeBytes);

    /// <summary>Grows when the log is truncated: what was planned for an earlier generation is void.</summary>
    public int Generation => Volatile.Read(ref _generation);

    public int LatestEpoch => _lock.Read(this, static list => list._epochs.Latest);

    public int EarliestEpoch => _lock.Read(this, static list => list._epochs.Earliest);

    public LogEpochStart[] Epochs => _lock.Read(this, static list => list._epochs.Entries);

    public EndedTransaction[] EndedTransactions => _lock.Read(this, static list => list._transactions.Ended);

    public LogEpochEnd EpochEnd(int leaderEpoch) =>
        _lock.Read((List: this, leaderEpoch), static key => key.List._epochs.End(key.leaderEpoch, key.List._logEnd));

    /// <summary>What a batch at the log's end will occupy once it is written.</summary>
    /// <param name="step">What it does to its producer's transaction.</param>
    /// <returns>The transaction that it aborts; null for none.</returns>
    public LogAbortedTransaction? AssignOffsets(int epoch, long baseOffset, long nextOffset, TransactionStep step = default)
    {
        using (_lock.Enter())
        {
            Debug.Assert((baseOffset >= _logEnd || _logEnd == _logStart) && nextOffset > _logEnd, "Offsets grow.");
            _epochs.Add(epoch, Math.Max(baseOffset, _logStart));
            Volatile.Write(ref _logEnd, nextOffset);
            return _transactions.Apply(step, nextOffset - 1);
        }
    }

    /// <summary>Makes batches visible to readers that lie in the active segment now.</summary>
    public void Publish(ReadOnlySpan<PendingBatch> batches)
    {
        using (_lock.Enter())
        {
            Segment active = _segments[^1];
            long size = _sizeBytes;
            foreach (ref readonly PendingBatch batch in batches)
            {
                active.Add(batch.BaseOffset, batch.NextOffset, batch.Length, batch.MaxTimestamp, batch.AppendMs, batch.Aborted);
                batch.Chunk.Commit(batch.BaseOffset, batch.NextOffset, batch.Length);
                size += batch.Length;
            }

            Debug.Assert(
                (batches[0].BaseOffset >= _durableEnd || _durableEnd == _logStart) && batches[^1].NextOffset <= _logEnd,
                "What is written follows the durable end.");
            Volatile.Write(ref _sizeBytes, size);
            Volatile.Write(ref _durableEnd, batches[^1].NextOffset);
            if (!IsReplicated)
            {
                Volatile.Write(ref _highWatermark, batches[^1].NextOffset);
                MoveLastStable();
            }
        }
    }

    public void Add(Segment segment)
    {
        using (_lock.Enter())
            SetSegments([.. _segments, segment]);
    }

    /// <summary>Puts a segment in the place of others, or removes those (null); the log may start later then.</summary>
    public void Replace(int first, int count, Segment? replacement)
    {
        using (_lock.Enter())
        {
            if (replacement is not null && first + count < _segments.Length)
                Tail.ServeFrom(_segments[first + count].BaseOffset); // What compaction has changed is in the files only.

            Segment[] middle = replacement is null ? [] : [replacement];
            SetSegments([.. _segments[..first], .. middle, .. _segments[(first + count)..]]);
            AdvanceStart(_segments is [var oldest, ..] && first == 0 && replacement is null ? oldest.BaseOffset : _logStart);
            AssertInvariants();
        }
    }

    /// <summary>Moves the log start forward; the segments stay.</summary>
    public void MoveLogStart(long offset)
    {
        using (_lock.Enter())
        {
            AdvanceStart(offset);
            AssertInvariants();
        }
    }

    /// <summary>
    /// Moves a replicated log's high watermark forward, as far as the log is durable; and then the log start, up to there.
    /// </summary>
    /// <returns>Whether the high watermark has moved.</returns>
    public bool AdvanceHighWatermark(long offset, long logStart)
    {
        using (_lock.Enter())
        {
            long target = Math.Min(offset, _durableEnd);
            bool moves = target > _highWatermark;
            if (moves)
                Volatile.Write(ref _highWatermark, target);

            if (Math.Min(logStart, _highWatermark) is var start && start > _logStart)
                AdvanceStart(start);

            MoveLastStable();
            AssertInvariants();
            return moves;
        }
    }

    /// <summary>Ends the log earlier, with other segments.</summary>
    /// <param name="producers">As they are at the end.</param>
    public void TruncateTo(long end, Segment[] segments, ProducerStateManager producers)
    {
        using (_lock.Enter())
        {
            _generation++;
            _epochs.TruncateTo(end);
            SetSegments(segments);
            Volatile.Write(ref _logEnd, end);
            Volatile.Write(ref _durableEnd, end);
            Volatile.Write(ref _highWatermark, Math.Min(_highWatermark, end));
            Volatile.Write(ref _logStart, Math.Min(_logStart, end));
            _transactions = TransactionOffsets.Of(producers, _transactions.Ended.Where(ended => ended.LastOffset < end));
            MoveLastStable();
            AssertInvariants();
        }
    }

    /// <summary>Empties the log, which begins and ends at an offset then.</summary>
    public void RestartAt(long offset)
    {
        using (_lock.Enter())
        {
            _generation++;
            _epochs.TruncateTo(long.MinValue);
            SetSegments([]);
            Volatile.Write(ref _logEnd, offset);
            Volatile.Write(ref _durableEnd, offset);
            Volatile.Write(ref _highWatermark, offset);
            Volatile.Write(ref _logStart, offset);
            _transactions = new TransactionOffsets();
            MoveLastStable();
            AssertInvariants();
        }
    }

    /// <summary>Whether a segment is full and not on stable storage yet.</summary>
    public bool NeedsSync(Segment segment) =>
        _lock.Read((List: this, segment), static key => !key.segment.Synced && key.segment != key.List._segments[^1]);

    /// <summary>A full segment and its index are written; from here on the index is in memory only while the file is open.</summary>
    public void MarkSynced(Segment segment)
    {
        using (_lock.Enter())
        {
            segment.Synced = true;
            segment.File.Index = segment.Index;
            segment.Index = null;
        }
    }

    /// <summary>Looks an offset up for a reader.</summary>
    /// <param name="chunk">
    /// With <see cref="OffsetLookup.Readable"/>: the part of the tail cache that holds the offset; null when only the disk does.
    /// </param>
    /// <param name="lease">The reader's, which gets the chunk.</param>
    public OffsetLookup Find(long offset, LogReadLimit upTo, out TailChunk? chunk, LogReadLease? lease = null)
    {
        using (_lock.Enter())
        {
            chunk = null;
            if (offset < _logStart || offset > _logEnd)
                return OffsetLookup.OutOfRange;

            if (offset >= EndOf(upTo))
                return OffsetLookup.AtEnd;

            chunk = Tail.Find(offset, lease);
            return OffsetLookup.Readable;
        }
    }

    /// <summary>Where a reader stops.</summary>
    public long EndOf(LogReadLimit upTo) => upTo switch
    {
        LogReadLimit.HighWatermark => HighWatermark,
        LogReadLimit.LastStable => LastStableOffset,
        _ => DurableEndOffset,
    };

    /// <summary>The segments in which transactions were aborted that may have records between two offsets.</summary>
    public Segment[] WithAborted(long from, long to)
    {
        using (_lock.Enter())
            return Array.FindAll(_segments, segment => segment.MayHaveAborted(from, to));
    }

    /// <summary>Adds the aborted transactions of a segment that have records between two offsets.</summary>
    /// <param name="loaded">Its index, if it had to be read.</param>
    /// <returns>False when it has to be.</returns>
    public bool TryFindAborted(Segment segment, long from, long to, SegmentIndex? loaded, List<LogAbortedTransaction> found)
    {
        using (_lock.Enter())
        {
            if ((loaded ?? segment.Index ?? segment.File.Index) is not { } index || index.Aborted.Length != segment.Header.AbortedCount)
                return false;

            ReadOnlySpan<LogAbortedTransaction> aborted = index.Aborted;
            int at = OffsetRange.LastWhere(aborted, from, static (transaction, key) => transaction.LastOffset < key) + 1;
            for (; at < aborted.Length; at++)
            {
                if (aborted[at].FirstOffset < to)
                    found.Add(aborted[at]);

                if (aborted[at].LastStableOffset >= to)
                    break;
            }

            return true;
        }
    }

    /// <summary>The segment of an offset, or the first after it that has batches; null when there is none.</summary>
    /// <returns>With a position at or before the batch, or -1 when the index is not in memory.</returns>
    public SegmentPosition? Locate(long offset)
    {
        using (_lock.Enter())
        {
            int index = OffsetRange.FirstEndingAfter(_segments, offset);
            while (index < _segments.Length && _segments[index].Size == 0)
            {
                index++; // Compaction may leave nothing of a segment.
            }

            return offset < _logStart || index == _segments.Length
                ? null
                : Position(
                    _segments[index], offset - _segments[index].BaseOffset, static (found, relative) => found.FloorByOffset(relative));
        }
    }

    /// <summary>The size of a segment, and a position at or before its first batch that is as late as a timestamp.</summary>
    public SegmentPosition LocateByTimestamp(Segment segment, long timestamp) =>
        _lock.Read(
            (segment, timestamp),
            static key => Position(key.segment, key.timestamp, static (index, time) => index.FloorByTimestamp(time)));

    /// <summary>What the index of a segment knows of an offset; null when it is not in memory.</summary>
    public IndexEntry? FloorByOffset(Segment segment, long offset) =>
        _lock.Read((segment, offset), static key =>
            (key.segment.Index ?? key.segment.File.Index)?.FloorByOffset(key.offset - key.segment.BaseOffset));

    private static SegmentPosition Position(Segment segment, long key, Func<SegmentIndex, long, IndexEntry> floor) =>
        new SegmentPosition(segment, segment.Size, segment.NextOffset, -1, -1) is var whole
        && (segment.Index ?? segment.File.Index) is { } index ? whole.At(floor(index, key)) : whole;

    private void SetSegments(Segment[] segments)
    {
        Volatile.Write(ref _segments, segments);
        Volatile.Write(ref _sizeBytes, segments.Sum(segment => (long)segment.Size));
    }

    private void AdvanceStart(long offset)
    {
        Volatile.Write(ref _logStart, Math.Max(_logStart, offset));
        _epochs.AdvanceStart(_logStart);
        MoveLastStable();
    }

    private void MoveLastStable()
    {
        _transactions.Advance(_highWatermark);
        Volatile.Write(ref _lastStable, Math.Max(_logStart, Math.Min(_highWatermark, _transactions.FirstUndecided)));
    }

    [Conditional("DEBUG")]
    private void AssertInvariants()
    {
        Debug.Assert(_logStart >= 0 && _logStart <= _highWatermark, "The log starts at or before its high watermark.");
        Debug.Assert(_lastStable >= _logStart && _lastStable <= _highWatermark, "The last stable offset is what consumers may see.");
        Debug.Assert(_highWatermark <= _durableEnd && _durableEnd <= _logEnd, "High watermark, durable end, log end are in this order.");
        for (int i = 0; i < _segments.Length; i++)
        {
            Segment segment = _segments[i];
            Debug.Assert(segment.NextOffset >= segment.BaseOffset, "A segment ends at or behind its beginning.");
            Debug.Assert(i == 0 || _segments[i - 1].NextOffset <= segment.BaseOffset, "Segments are in offset order and do not overlap.");
            Debug.Assert(segment == _segments[^1] || segment.NextOffset <= _durableEnd, "Full segments are published.");
        }
    }
}

internal enum OffsetLookup
{
    OutOfRange = 0,
    AtEnd = 1,
    Readable = 2,
}

/// <param name="Size">The segment's bytes that may be read.</param>
/// <param name="NextOffset">The offset after these bytes.</param>
/// <param name="Position">Where in it to look from; -1 when its index must be read first.</param>
/// <param name="FirstOffset">No batch from there on begins before it.</param>
internal readonly record struct SegmentPosition(Segment Segment, int Size, long NextOffset, int Position, long FirstOffset)
{
    public SegmentPosition At(IndexEntry entry) =>
        this with { Position = entry.Position, FirstOffset = Segment.BaseOffset + entry.RelativeOffset };
}
