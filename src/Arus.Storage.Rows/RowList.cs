using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Arus.Protocol;

namespace Arus.Storage.Rows;

/// <summary>
/// What is known of a log's rows: the rows, the epochs, the offsets, and the garbage. The only owner of the rows and of the lock that
/// guards them for readers. Thread-safe; it is changed inside operations only, which therefore read it without the lock.
/// </summary>
internal sealed class RowList
{
    private readonly LogLock _lock = new(LockRank.Leaf);
    private List<RowInfo> _rows = [];
    private List<string> _garbage = [];
    private List<string> _intents = [];
    private List<string> _made = [];
    private LeaderEpochs _epochs = new();
    private TransactionOffsets _transactions = new();

    /// <summary>The aborted transactions, in the order of their markers.</summary>
    private List<LogAbortedTransaction> _aborted = [];
    private long _logStart;
    private long _next;
    private long _end;
    private long _lastStable;
    private long _sizeBytes;

    public long LogStartOffset => Volatile.Read(ref _logStart);

    /// <summary>
    /// The log's end for readers. <see cref="NextOffset"/> is less while a leader claims the log and reads rows again, and more while rows
    /// are inserted and not acknowledged.
    /// </summary>
    public long EndOffset => Volatile.Read(ref _end);

    /// <summary>Where the next row begins.</summary>
    public long NextOffset => Volatile.Read(ref _next);

    /// <summary>Up to where a reader of committed records may go on.</summary>
    public long LastStableOffset => Volatile.Read(ref _lastStable);

    public long SizeBytes => Volatile.Read(ref _sizeBytes);

    /// <summary>How often the log was truncated; part of the keys of its rows.</summary>
    public int Generation { get; private set; }

    /// <summary>Compaction has been through everything before it.</summary>
    public long CleanedOffset { get; set; }

    /// <summary>In offset order. Used inside operations.</summary>
    public IReadOnlyList<RowInfo> All => _rows;

    /// <summary>Keys of rows that are not part of the log any more and may still exist.</summary>
    public IReadOnlyList<string> Garbage => _lock.Read(this, static list => list._garbage.ToArray());

    /// <summary>
    /// Keys of rows that are being made from others. A stored head lists them as garbage, so that none is left over by a crash before
    /// another head makes them part of the log. Used inside operations.
    /// </summary>
    public IReadOnlyList<string> Intents => _intents;

    /// <summary>Keys of the rows that were to be made from others since the head was written. Used inside operations.</summary>
    public IReadOnlyList<string> Made => _made;

    public int Count => _lock.Read(this, static list => list._rows.Count);

    public int LatestEpoch => _lock.Read(this, static list => list._epochs.Latest);

    public int EarliestEpoch => _lock.Read(this, static list => list._epochs.Earliest);

    public LogEpochStart[] Epochs => _lock.Read(this, static list => list._epochs.Entries);

    public LogEpochEnd EpochEnd(int leaderEpoch) =>
        _lock.Read((List: this, leaderEpoch), static key => key.List._epochs.End(key.leaderEpoch, key.List._end));

    /// <summary>The row that a reader goes on with.</summary>
    /// <param name="offset">What the reader asked for.</param>
    /// <param name="from">Behind the rows that it has looked at.</param>
    /// <returns>Whether the offset lies in the log, and the row, if there is one.</returns>
    public (bool InRange, RowInfo? Row) Find(long offset, long from)
    {
        using (_lock.Enter())
        {
            int index = IndexOf(from);
            bool isThere = index < _rows.Count && _rows[index].BaseOffset < _end;
            return (offset >= _logStart && offset <= _end, isThere ? _rows[index] : null);
        }
    }

    /// <summary>The aborted transactions that may have records between two offsets.</summary>
    public LogAbortedTransaction[] FindAborted(long from, long to)
    {
        using (_lock.Enter())
            return [.. _aborted.Where(aborted => aborted.LastOffset >= from && aborted.FirstOffset < to)];
    }

    /// <summary>Compaction has taken the records of aborted transactions, or is to keep them.</summary>
    /// <param name="from">Where what it has cleaned begins.</param>
    /// <param name="kept">The transactions of which it has kept the markers and perhaps some records.</param>
    public void ReplaceAborted(long from, long to, IReadOnlyCollection<LogAbortedTransaction> kept)
    {
        using (_lock.Enter())
            _aborted.RemoveAll(aborted => aborted.LastOffset >= from && aborted.LastOffset < to && !kept.Contains(aborted));
    }

    /// <summary>Notes what a batch does to its producer's transaction, before the row that holds it is added.</summary>
    /// <param name="lastOffset">Of the batch.</param>
    public void Apply(TransactionStep step, long lastOffset)
    {
        using (_lock.Enter())
        {
            if (_transactions.Apply(step, lastOffset) is { } aborted)
                _aborted.Add(aborted);
        }
    }

    /// <summary>The rows that may hold a record that is as late as a timestamp.</summary>
    public RowInfo[] FindByTimestamp(long timestamp)
    {
        using (_lock.Enter())
            return [.. _rows.Where(row => row.MaxTimestamp >= timestamp && row.NextOffset > _logStart && row.BaseOffset < _end)];
    }

    /// <summary>The index of the first row that ends behind an offset; the number of rows when there is none.</summary>
    public int IndexOf(long offset) => OffsetRange.FirstEndingAfter<RowInfo>(CollectionsMarshal.AsSpan(_rows), offset);

    /// <summary>Takes over what a head says.</summary>
    /// <param name="producers">The head's.</param>
    public void Load(RowLogHead head, ProducerStateManager producers)
    {
        using (_lock.Enter())
        {
            _epochs = new LeaderEpochs(Array.ConvertAll(head.Epochs, start => new LogEpochStart(start.Epoch, start.StartOffset)));
            _garbage = [.. head.Garbage.Select(key => Encoding.UTF8.GetString(key.Span))];
            _intents = [];
            _made = [];
            bool truncatedByOther = Generation != head.Generation;
            (Generation, CleanedOffset) = (head.Generation, head.CleanedOffset);
            Volatile.Write(ref _logStart, head.LogStartOffset);
            Volatile.Write(ref _end, truncatedByOther ? head.NextOffset : Math.Max(_end, head.NextOffset));
            Volatile.Write(ref _next, head.NextOffset);
            _transactions = TransactionOffsets.Of(producers, []);
            _aborted =
            [
                .. head.Aborted.Select(aborted => new LogAbortedTransaction(
                    aborted.ProducerId, aborted.FirstOffset, aborted.LastOffset, aborted.LastStableOffset)),
            ];
            SetRows([.. head.Rows.Select(InfoOf)]);
        }
    }

    public static RowInfo InfoOf(RowLogHead.Row row) =>
        new(row.BaseOffset, row.NextOffset, row.MaxTimestamp, row.Size, row.MergedEpoch, row.Number);

    public RowLogHead ToHead(int leaderEpoch, ProducerStateManager producers)
    {
        StoredProducers stored = ProducerSnapshot.Serialize(producers);
        return new()
        {
            LeaderEpoch = leaderEpoch,
            LogStartOffset = _logStart,
            NextOffset = _next,
            Generation = Generation,
            CleanedOffset = CleanedOffset,
            Rows =
            [
                .. _rows.Select(row => new RowLogHead.Row
                {
                    BaseOffset = row.BaseOffset,
                    NextOffset = row.NextOffset,
                    MaxTimestamp = row.MaxTimestamp,
                    Size = row.Size,
                    MergedEpoch = row.MergedEpoch,
                    Number = row.Number,
                }),
            ],
            Epochs = Array.ConvertAll(
                _epochs.Entries, start => new RowLogHead.EpochStart { Epoch = start.Epoch, StartOffset = start.StartOffset }),
            Garbage = [.. Garbage.Concat(_intents).Select(key => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(key))],
            Producers = stored.Bytes,
            ProducersVersion = (sbyte)stored.Version,
            Aborted =
            [
                .. _aborted.Select(aborted => new RowLogHead.AbortedTransaction
                {
                    ProducerId = aborted.ProducerId,
                    FirstOffset = aborted.FirstOffset,
                    LastOffset = aborted.LastOffset,
                    LastStableOffset = aborted.LastStableOffset,
                }),
            ],
        };
    }

    /// <summary>Adds the row that follows the log's end. Readers do not see it before <see cref="Publish"/>.</summary>
    public void Add(RowInfo info, int leaderEpoch)
    {
        using (_lock.Enter())
        {
            Debug.Assert(info.BaseOffset == _next && info.NextOffset > _next, "A group commit's row begins where the log ends.");
            _rows.Add(info);
            _epochs.Add(leaderEpoch, info.BaseOffset);
            Volatile.Write(ref _sizeBytes, _sizeBytes + info.Size);
            Volatile.Write(ref _next, info.NextOffset);
        }
    }

    /// <summary>Lets readers see what was added up to an offset.</summary>
    public void Publish(long end)
    {
        using (_lock.Enter())
        {
            Debug.Assert(end <= _next, "Only rows that were added are published.");
            Volatile.Write(ref _end, Math.Max(_end, end));
            MoveLastStable();
        }
    }

    /// <summary>Puts a row in the place of others, or nothing. They are garbage once the head is written.</summary>
    public void Replace(int first, int count, RowInfo? replacement)
    {
        using (_lock.Enter())
        {
            _garbage.AddRange(_rows.GetRange(first, count).Select(row => row.Key));
            _intents.RemoveAll(key => key == replacement?.Key);
            SetRows([.. _rows[..first], .. replacement is { } row ? [row] : Array.Empty<RowInfo>(), .. _rows[(first + count)..]]);
        }
    }

    /// <summary>Moves the log start forward. The rows before it are garbage once the head is written.</summary>
    public void AdvanceStart(long start)
    {
        using (_lock.Enter())
        {
            Volatile.Write(ref _logStart, Math.Max(_logStart, start));
            _epochs.AdvanceStart(_logStart);
            int gone = IndexOf(_logStart);
            _garbage.AddRange(_rows[..gone].Select(row => row.Key));
            _aborted.RemoveAll(aborted => aborted.LastOffset < _logStart);
            SetRows(_rows[gone..]);
        }
    }

    /// <summary>Ends the log earlier: the first rows stay, and a row that was cut may follow them.</summary>
    /// <param name="producers">As they are at the end.</param>
    public void TruncateTo(long end, int kept, RowInfo? cut, ProducerStateManager producers)
    {
        using (_lock.Enter())
        {
            _garbage.AddRange(_rows[kept..].Select(row => row.Key));
            _intents.RemoveAll(key => key == cut?.Key);
            _epochs.TruncateTo(end);
            _transactions = TransactionOffsets.Of(producers, []);
            _aborted.RemoveAll(aborted => aborted.LastOffset >= end);
            Generation++;
            CleanedOffset = Math.Min(CleanedOffset, end);
            Volatile.Write(ref _logStart, Math.Min(_logStart, end));
            Volatile.Write(ref _next, end);
            Volatile.Write(ref _end, end);
            SetRows([.. _rows[..kept], .. cut is { } row ? [row] : Array.Empty<RowInfo>()]);
        }
    }

    /// <summary>Rows are gone from the store.</summary>
    public void RemoveGarbage(IReadOnlyCollection<string> keys)
    {
        using (_lock.Enter())
        {
            var gone = keys.ToHashSet(StringComparer.Ordinal);
            _garbage.RemoveAll(gone.Contains);
        }
    }

    /// <summary>A row of the key is about to be made from others.</summary>
    public void Intend(string key)
    {
        _intents.Add(key);
        _made.Add(key);
    }

    /// <summary>The head was written as the log is now.</summary>
    public void Stored() => _made = [.. _intents];

    /// <summary>The row that was made does not become part of the log.</summary>
    public void Abandon(string key)
    {
        using (_lock.Enter())
        {
            _intents.Remove(key);
            _garbage.Add(key);
        }
    }

    private void SetRows(List<RowInfo> rows)
    {
        _rows = rows;
        Volatile.Write(ref _sizeBytes, rows.Sum(row => (long)row.Size));
        MoveLastStable();
        AssertInvariants();
    }

    /// <summary>
    /// What readers see is decided; but what a leader has not read again yet may hold transactions that it does not know.
    /// </summary>
    private void MoveLastStable()
    {
        long end = Math.Min(_next, _end);
        _transactions.Advance(end);
        Volatile.Write(ref _lastStable, Math.Max(_logStart, Math.Min(end, _transactions.FirstUndecided)));
    }

    [Conditional("DEBUG")]
    private void AssertInvariants()
    {
        Debug.Assert(_logStart <= _next && _next <= _end, "The log starts at or before its end, and readers know no less than that.");
        for (int i = 0; i < _rows.Count; i++)
        {
            Debug.Assert(_rows[i].NextOffset > _rows[i].BaseOffset && _rows[i].NextOffset <= _next, "A row lies within the log.");
            Debug.Assert(i == 0 || _rows[i - 1].NextOffset <= _rows[i].BaseOffset, "Rows are in offset order and do not overlap.");
        }
    }
}
