using System.Buffers.Binary;
using System.Text;

namespace Arus.Compression;

/// <summary>The header fields of a batch that <see cref="RecordBatchBuilder.Build"/> writes.</summary>
public readonly record struct RecordBatchOptions()
{
    public CompressionType Compression { get; init; }

    /// <summary>See <see cref="Codec.Compress"/>.</summary>
    public int? CompressionLevel { get; init; }

    public long BaseOffset { get; init; }

    public int PartitionLeaderEpoch { get; init; } = RecordBatchHeader.NoLeaderEpoch;

    public TimestampType TimestampType { get; init; }

    public long ProducerId { get; init; } = RecordBatchHeader.NoProducerId;

    public short ProducerEpoch { get; init; } = RecordBatchHeader.NoProducerEpoch;

    public int BaseSequence { get; init; } = RecordBatchHeader.NoSequence;

    public bool IsTransactional { get; init; }

    public bool IsControl { get; init; }

    /// <summary>The base timestamp is a delete horizon (KIP-534); give it to <see cref="RecordBatchBuilder.Reset"/> too.</summary>
    public bool HasDeleteHorizon { get; init; }

    /// <summary>Null for the last record's. Compaction keeps the last offset of a batch even if it removes that record.</summary>
    public int? LastOffsetDelta { get; init; }

    /// <summary>Null for the maximum of the records' timestamps.</summary>
    public long? MaxTimestamp { get; init; }
}

/// <summary>
/// Builds record batches, one after another, in buffers that it reuses. Not thread-safe. An uncompressed batch is not copied: the
/// result of <see cref="Build"/> is the builder's own memory, valid until <see cref="Reset"/> or <see cref="Dispose"/>.
/// </summary>
public sealed class RecordBatchBuilder : IDisposable
{
    private readonly PooledBufferWriter _records;
    private PooledBufferWriter? _compressed;
    private long? _baseTimestamp;
    private long _maxTimestamp;
    private int _lastOffsetDelta;

    public RecordBatchBuilder(int initialCapacity = 0)
    {
        _records = new PooledBufferWriter(initialCapacity);
        Reset();
    }

    /// <summary>Records appended since the last reset.</summary>
    public int Count { get; private set; }

    /// <summary>The size of the uncompressed batch, header included.</summary>
    public int SizeInBytes => _records.WrittenCount;

    /// <summary>Unix milliseconds, the base of the timestamp deltas of <see cref="Records"/>; -1 before the first record.</summary>
    public long BaseTimestamp => _baseTimestamp ?? RecordBatchHeader.NoTimestamp;

    /// <summary>The records so far, uncompressed, for a <see cref="RecordReader"/>. Valid until the next change.</summary>
    public ReadOnlySpan<byte> Records => _records.WrittenSpan[RecordBatchHeader.Size..];

    /// <summary>Discards all records and begins a new batch in the same memory.</summary>
    /// <param name="baseTimestamp">Unix milliseconds; null for the first record's timestamp.</param>
    public void Reset(long? baseTimestamp = null)
    {
        Begin(_records);
        _baseTimestamp = baseTimestamp;
        _maxTimestamp = RecordBatchHeader.NoTimestamp;
        _lastOffsetDelta = -1;
        Count = 0;
    }

    /// <summary>An upper bound for the size of a record, uncompressed and without the batch's header.</summary>
    public static int EstimateRecordSize(int keyLength, int valueLength, ReadOnlySpan<RecordHeader> headers)
    {
        int size = Varint.MaxLength32 + 1 + Varint.MaxLength64 + Varint.MaxLength32 + Varint.MaxLength32 + Math.Max(0, keyLength)
            + Varint.MaxLength32 + Math.Max(0, valueLength) + Varint.MaxLength32;
        foreach (ref readonly RecordHeader header in headers)
            size += (2 * Varint.MaxLength32) + Encoding.UTF8.GetMaxByteCount(header.Key.Length) + (header.Value?.Length ?? 0);

        return size;
    }

    /// <summary>Appends a record with the next offset delta. A null key or value is written as null, an empty one as empty.</summary>
    /// <param name="timestampMs">Unix milliseconds.</param>
    public void Append(
        long timestampMs, ReadOnlyMemory<byte>? key, ReadOnlyMemory<byte>? value, ReadOnlySpan<RecordHeader> headers = default) =>
        Append(timestampMs, key.GetValueOrDefault().Span, key is null, value.GetValueOrDefault().Span, value is null, headers);

    /// <inheritdoc cref="Append(long, ReadOnlyMemory{byte}?, ReadOnlyMemory{byte}?, ReadOnlySpan{RecordHeader})"/>
    /// <remarks>Arrays have their own overload because the language turns a null array into an empty memory, not into null.</remarks>
    public void Append(long timestampMs, byte[]? key, byte[]? value, ReadOnlySpan<RecordHeader> headers = default) =>
        Append(timestampMs, key, key is null, value, value is null, headers);

    /// <inheritdoc cref="Append(long, ReadOnlyMemory{byte}?, ReadOnlyMemory{byte}?, ReadOnlySpan{RecordHeader})"/>
    public void Append(
        long timestampMs, ReadOnlySpan<byte> key, bool isKeyNull, ReadOnlySpan<byte> value, bool isValueNull,
        ReadOnlySpan<RecordHeader> headers = default)
    {
        int headersSize = Varint.SizeOf(headers.Length);
        foreach (ref readonly RecordHeader header in headers)
        {
            int name = Encoding.UTF8.GetByteCount(header.Key);
            headersSize += Varint.SizeOf(name) + name + SizeOfBytes(header.Value?.Length ?? -1);
        }

        Span<byte> free = BeginRecord(_lastOffsetDelta + 1, timestampMs, key, isKeyNull, value, isValueNull, headersSize, out int at);
        at += Varint.Write(free[at..], headers.Length);
        foreach (ref readonly RecordHeader header in headers)
        {
            at += Varint.Write(free[at..], Encoding.UTF8.GetByteCount(header.Key));
            at += Encoding.UTF8.GetBytes(header.Key, free[at..]);
            at = WriteBytes(free, at, header.Value.GetValueOrDefault().Span, header.Value is null);
        }

        EndRecord(at, _lastOffsetDelta + 1, timestampMs);
    }

    /// <summary>Copies a record of another batch under a given offset delta, for compaction.</summary>
    /// <param name="offsetDelta">Greater than that of the previous record.</param>
    /// <param name="timestampMs">Unix milliseconds: the old batch's base timestamp plus the record's delta.</param>
    /// <param name="payload">The payload that the record is in.</param>
    public void AppendCopy(int offsetDelta, long timestampMs, RecordView record, ReadOnlySpan<byte> payload)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(offsetDelta, _lastOffsetDelta);
        int headersEnd = record.HeadersOffset;
        RecordReader.TrySkipHeaders(payload, ref headersEnd, record.HeaderCount);
        ReadOnlySpan<byte> headers = payload[record.HeadersOffset..headersEnd];
        int headersSize = Varint.SizeOf(record.HeaderCount) + headers.Length;
        Span<byte> free = BeginRecord(
            offsetDelta, timestampMs, record.Key, record.IsKeyNull, record.Value, record.IsValueNull, headersSize, out int at);
        at += Varint.Write(free[at..], record.HeaderCount);
        headers.CopyTo(free[at..]);
        EndRecord(at + headers.Length, offsetDelta, timestampMs);
    }

    /// <summary>
    /// Compresses the records and writes the header and the CRC-32C. The result is the builder's memory until the next
    /// <see cref="Reset"/>. Another call with other options builds another batch of the same records.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">No such codec.</exception>
    public Memory<byte> Build(in RecordBatchOptions options)
    {
        PooledBufferWriter target = _records;
        if (options.Compression != CompressionType.None)
        {
            target = _compressed ??= new PooledBufferWriter(_records.WrittenCount);
            Begin(target);
            Codec.Compress(options.Compression, Records, target, options.CompressionLevel);
        }

        Memory<byte> batch = target.WrittenMemoryForUpdate;
        WriteHeader(batch.Span, options);
        return batch;
    }

    /// <summary>Bytes of memory that it holds, used or not.</summary>
    public long Capacity => (long)_records.Capacity + (_compressed?.Capacity ?? 0);

    /// <summary>
    /// Returns the buffers to the pool; call it only when nothing reads a built batch any more. After <see cref="Reset"/> the builder is
    /// usable again.
    /// </summary>
    public void Dispose()
    {
        _records.Dispose();
        _compressed?.Dispose();
    }

    /// <summary>Empties a buffer but for the room of a header.</summary>
    private static void Begin(PooledBufferWriter target)
    {
        target.Clear();
        target.GetSpan(RecordBatchHeader.Size);
        target.Advance(RecordBatchHeader.Size);
    }

    private static int SizeOfBytes(int length) => Varint.SizeOf(length) + Math.Max(0, length);

    private static int WriteBytes(Span<byte> free, int at, ReadOnlySpan<byte> bytes, bool isNull)
    {
        at += Varint.Write(free[at..], isNull ? -1 : bytes.Length);
        if (isNull)
            return at;

        bytes.CopyTo(free[at..]);
        return at + bytes.Length;
    }

    private Span<byte> BeginRecord(
        int offsetDelta, long timestampMs, ReadOnlySpan<byte> key, bool isKeyNull, ReadOnlySpan<byte> value, bool isValueNull,
        int headersSize, out int at)
    {
        long timestampDelta = timestampMs - (_baseTimestamp ??= timestampMs);
        int body = 1 + Varint.SizeOf(timestampDelta) + Varint.SizeOf(offsetDelta)
            + SizeOfBytes(isKeyNull ? -1 : key.Length) + SizeOfBytes(isValueNull ? -1 : value.Length) + headersSize;
        Span<byte> free = _records.GetSpan(body + Varint.MaxLength32);
        at = Varint.Write(free, body);
        free[at++] = 0;
        at += Varint.Write(free[at..], timestampDelta);
        at += Varint.Write(free[at..], offsetDelta);
        at = WriteBytes(free, at, key, isKeyNull);
        at = WriteBytes(free, at, value, isValueNull);
        return free;
    }

    private void EndRecord(int size, int offsetDelta, long timestampMs)
    {
        _records.Advance(size);
        _lastOffsetDelta = offsetDelta;
        _maxTimestamp = Math.Max(_maxTimestamp, timestampMs);
        Count++;
    }

    private void WriteHeader(Span<byte> batch, in RecordBatchOptions options)
    {
        var attributes = (RecordBatchAttributes)options.Compression
            | (options.TimestampType == TimestampType.LogAppendTime ? RecordBatchAttributes.LogAppendTime : 0)
            | (options.IsTransactional ? RecordBatchAttributes.Transactional : 0)
            | (options.IsControl ? RecordBatchAttributes.Control : 0)
            | (options.HasDeleteHorizon ? RecordBatchAttributes.DeleteHorizon : 0);
        BinaryPrimitives.WriteInt32BigEndian(batch[RecordBatchHeader.LengthAt..], batch.Length - RecordBatchHeader.LogOverhead);
        batch[RecordBatchHeader.MagicAt] = RecordBatchHeader.CurrentMagic;
        BinaryPrimitives.WriteInt16BigEndian(batch[RecordBatchHeader.AttributesAt..], (short)attributes);
        BinaryPrimitives.WriteInt32BigEndian(batch[RecordBatchHeader.LastOffsetDeltaAt..], options.LastOffsetDelta ?? _lastOffsetDelta);
        BinaryPrimitives.WriteInt64BigEndian(batch[RecordBatchHeader.BaseTimestampAt..], BaseTimestamp);
        BinaryPrimitives.WriteInt64BigEndian(batch[RecordBatchHeader.MaxTimestampAt..], options.MaxTimestamp ?? _maxTimestamp);
        BinaryPrimitives.WriteInt32BigEndian(batch[RecordBatchHeader.CountAt..], Count);
        RecordBatches.SetBaseOffset(batch, options.BaseOffset);
        RecordBatches.SetPartitionLeaderEpoch(batch, options.PartitionLeaderEpoch);
        RecordBatches.SetProducer(batch, options.ProducerId, options.ProducerEpoch, options.BaseSequence);
    }
}
