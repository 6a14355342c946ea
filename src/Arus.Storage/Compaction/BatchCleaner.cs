using Arus.Compression;

namespace Arus.Storage;

/// <summary>
/// Decides what compaction keeps of a batch, and rewrites it when that is not all: the same offsets, producer and codec, fewer
/// records. Tombstones, and the markers of transactions of which no batch is left, are kept until their delete horizon (KIP-534), which the
/// first pass that finds one sets. Records of aborted transactions go.
/// </summary>
internal sealed class BatchCleaner(
    OffsetMap map, LastOfProducers producers, CleanedTransactions transactions, long nowMs, long deleteRetentionMs)
    : IDisposable
{
    private readonly PooledBufferWriter _scratch = new();
    private readonly RecordBatchBuilder _builder = new();
    private readonly List<int> _kept = [];

    /// <summary>The earliest horizon of the tombstones that were kept; <see cref="long.MaxValue"/> for none.</summary>
    public long NextHorizonMs { get; private set; } = long.MaxValue;

    /// <summary>The transaction that the last batch aborts, if that batch was kept and readers may still come upon its records.</summary>
    public LogAbortedTransaction? Aborted { get; private set; }

    /// <summary>Whether any batch did not stay as it was.</summary>
    public bool HasChanged { get; private set; }

    /// <summary>What stays of a batch: the batch itself, a smaller one (valid until the next call), or nothing.</summary>
    /// <exception cref="LogException">The batch cannot be decompressed here.</exception>
    public ReadOnlyMemory<byte> Clean(ReadOnlyMemory<byte> batch)
    {
        ReadOnlyMemory<byte> kept = Keep(batch);
        HasChanged |= !kept.Equals(batch); // What is kept whole is the same memory.
        return kept;
    }

    public void Dispose()
    {
        _scratch.Dispose();
        _builder.Dispose();
    }

    private ReadOnlyMemory<byte> Keep(ReadOnlyMemory<byte> batch)
    {
        var header = new RecordBatchHeader(batch.Span);
        Aborted = null;
        if (header.IsControl)
            return KeepMarker(header, batch);

        bool isAborted = transactions.IsAborted(header);
        if (header.Count > 0 && header.BaseOffset >= map.EndOffset)
            return batch;

        ReadOnlyMemory<byte> payload = CompactionKeys.Open(batch, _scratch);
        bool hasTombstone = Select(header, payload.Span, isAborted);
        if (_kept.Count == 0 && !producers.Offsets.Contains(header.LastOffset))
            return ReadOnlyMemory<byte>.Empty;

        bool setsHorizon = hasTombstone && !header.HasDeleteHorizon;
        if (hasTombstone)
            NextHorizonMs = Math.Min(NextHorizonMs, setsHorizon ? Horizon : header.BaseTimestamp);

        return _kept.Count == header.Count && !setsHorizon ? batch : Rewrite(header, payload.Span, setsHorizon);
    }

    /// <summary>
    /// A marker goes when no batch of its transaction is left, its horizon has passed, and it does not hold a producer's epoch.
    /// </summary>
    private ReadOnlyMemory<byte> KeepMarker(RecordBatchHeader header, ReadOnlyMemory<byte> batch)
    {
        bool isOfNothing = transactions.IsMarkerOfNothing(batch.Span, out LogAbortedTransaction? aborted);
        Aborted = aborted;
        bool isLast = producers.Markers.TryGetValue(header.ProducerId, out short epoch) && epoch == header.ProducerEpoch;
        if (!isOfNothing || isLast || header.BaseOffset >= map.EndOffset)
            return batch;

        bool setsHorizon = !header.HasDeleteHorizon;
        long horizon = setsHorizon ? Horizon : header.BaseTimestamp;
        if (!setsHorizon && horizon <= nowMs)
            return ReadOnlyMemory<byte>.Empty;

        NextHorizonMs = Math.Min(NextHorizonMs, horizon);
        if (!setsHorizon)
            return batch;

        ReadOnlyMemory<byte> payload = CompactionKeys.Open(batch, _scratch);
        _kept.Clear();
        _kept.AddRange(Enumerable.Range(0, header.Count));
        return Rewrite(header, payload.Span, setsHorizon);
    }

    private long Horizon => nowMs > long.MaxValue - deleteRetentionMs ? long.MaxValue : nowMs + deleteRetentionMs;

    /// <summary>Lists the records to keep; answers whether a tombstone is among them.</summary>
    private bool Select(RecordBatchHeader header, ReadOnlySpan<byte> payload, bool isAborted)
    {
        _kept.Clear();
        if (isAborted)
            return false;

        bool hasTombstone = false;
        bool horizonPassed = header.HasDeleteHorizon && header.BaseTimestamp <= nowMs;
        var reader = new RecordReader(payload, header.Count);
        for (int index = 0; reader.TryRead(out RecordView record); index++)
        {
            long offset = header.BaseOffset + record.OffsetDelta;
            bool goes = offset < map.EndOffset
                && (record.IsKeyNull || map.IsSuperseded(record.Key, offset) || (record.IsValueNull && horizonPassed));
            if (!goes)
            {
                _kept.Add(index);
                hasTombstone |= record.IsValueNull && offset < map.EndOffset;
            }
        }

        return hasTombstone;
    }

    private ReadOnlyMemory<byte> Rewrite(RecordBatchHeader header, ReadOnlySpan<byte> payload, bool setsHorizon)
    {
        _builder.Reset(setsHorizon ? Horizon : header.BaseTimestamp);
        var reader = new RecordReader(payload, header.Count);
        int next = 0;
        for (int index = 0; next < _kept.Count && reader.TryRead(out RecordView record); index++)
        {
            if (_kept[next] == index)
            {
                _builder.AppendCopy(record.OffsetDelta, header.BaseTimestamp + record.TimestampDelta, record, payload);
                next++;
            }
        }

        return _builder.Build(new RecordBatchOptions
        {
            Compression = _kept.Count == 0 ? CompressionType.None : header.Compression,
            BaseOffset = header.BaseOffset,
            PartitionLeaderEpoch = header.PartitionLeaderEpoch,
            TimestampType = header.TimestampType,
            ProducerId = header.ProducerId,
            ProducerEpoch = header.ProducerEpoch,
            BaseSequence = header.BaseSequence,
            IsTransactional = header.IsTransactional,
            IsControl = header.IsControl,
            HasDeleteHorizon = _kept.Count > 0 && (setsHorizon || header.HasDeleteHorizon),
            LastOffsetDelta = header.LastOffsetDelta,
            MaxTimestamp = _kept.Count == 0 || header.TimestampType == TimestampType.LogAppendTime ? header.MaxTimestamp : null,
        });
    }
}

internal static class CompactionKeys
{
    /// <exception cref="LogException">The batch cannot be decompressed here.</exception>
    public static ReadOnlyMemory<byte> Open(ReadOnlyMemory<byte> batch, PooledBufferWriter scratch)
    {
        ValidationResult opened = RecordBatchPayload.TryOpen(batch, scratch, out ReadOnlyMemory<byte> payload);
        return opened.IsOk
            ? payload
            : throw new LogException(
                $"The batch at offset {new RecordBatchHeader(batch.Span).BaseOffset} cannot be compacted: {opened.Message}");
    }

    /// <summary>Adds the keys of a batch's records to the map, unless it lies before an offset; false when the map is full.</summary>
    /// <param name="transactions">Passed by all batches so far: records that were aborted do not count.</param>
    public static bool TryAdd(
        OffsetMap map, ReadOnlyMemory<byte> batch, long fromOffset, CleanedTransactions transactions, PooledBufferWriter scratch)
    {
        var header = new RecordBatchHeader(batch.Span);
        if (header.NextOffset <= fromOffset)
            return true;

        if (map.IsFull(header.Count))
            return false;

        if (header.IsControl)
        {
            transactions.IsMarkerOfNothing(batch.Span, out _);
        }
        else if (!transactions.IsAborted(header))
        {
            var reader = new RecordReader(Open(batch, scratch).Span, header.Count);
            while (reader.TryRead(out RecordView record))
            {
                if (!record.IsKeyNull)
                    map.Put(record.Key, header.BaseOffset + record.OffsetDelta);
            }
        }

        map.EndOffset = header.NextOffset;
        return true;
    }
}
