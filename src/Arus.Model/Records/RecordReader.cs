using System.Text;

namespace Arus;

/// <summary>
/// One record of a batch, as slices of the batch's payload. It lives no longer than the payload's span; what must outlive it is
/// cut from the payload's memory by <see cref="KeyOffset"/> and its like.
/// </summary>
public readonly ref struct RecordView
{
    private readonly ReadOnlySpan<byte> _payload;

    internal RecordView(ReadOnlySpan<byte> payload) => _payload = payload;

    /// <summary>Relative to the batch's base offset.</summary>
    public int OffsetDelta { get; internal init; }

    /// <summary>Milliseconds relative to the batch's base timestamp; without meaning under LogAppendTime.</summary>
    public long TimestampDelta { get; internal init; }

    /// <summary>Where the key begins in the payload.</summary>
    public int KeyOffset { get; internal init; }

    /// <summary>-1 for a null key.</summary>
    public int KeyLength { get; internal init; }

    /// <summary>Where the value begins in the payload.</summary>
    public int ValueOffset { get; internal init; }

    /// <summary>-1 for a null value (a tombstone).</summary>
    public int ValueLength { get; internal init; }

    /// <summary>Where the first header begins in the payload.</summary>
    public int HeadersOffset { get; internal init; }

    public int HeaderCount { get; internal init; }

    public bool IsKeyNull => KeyLength < 0;

    public bool IsValueNull => ValueLength < 0;

    /// <summary>Empty for a null key.</summary>
    public ReadOnlySpan<byte> Key => _payload.Slice(KeyOffset, Math.Max(0, KeyLength));

    /// <summary>Empty for a null value.</summary>
    public ReadOnlySpan<byte> Value => _payload.Slice(ValueOffset, Math.Max(0, ValueLength));
}

/// <summary>
/// Reads the records of a batch's uncompressed payload without allocating. It never reads past the payload, and stops with
/// <see cref="Problem"/> at the first malformed record.
/// </summary>
/// <param name="payload">The records of a batch, uncompressed.</param>
/// <param name="count">The record count in the batch's header.</param>
public ref struct RecordReader(ReadOnlySpan<byte> payload, int count)
{
    private readonly ReadOnlySpan<byte> _payload = payload;
    private int _read;

    /// <summary>What ended the reading early; OK while all is well.</summary>
    public ValidationResult Problem { get; private set; }

    /// <summary>Bytes of the payload that were read.</summary>
    public int Position { get; private set; }

    /// <summary>Reads the next record; false after the last one, or with <see cref="Problem"/> set.</summary>
    public bool TryRead(out RecordView record)
    {
        record = default;
        if (_read == count || !Problem.IsOk)
            return false;

        int at = Position;
        if (!Varint.TryRead(_payload, ref at, out int length) || length < 0 || length > _payload.Length - at)
            return Fail("its length runs past the end of the batch");

        int end = at + length;
        if (length == 0 || !TryReadBody(_payload[..end], at, out record, out int stop))
            return Fail("its fields do not fit into its length");

        if (stop != end)
            return Fail($"{end - stop} bytes follow its last header");

        Position = end;
        _read++;
        return true;
    }

    /// <summary>Decodes the headers of a record that a reader has read. Their values are slices of the payload.</summary>
    /// <param name="payload">The payload that the record is in.</param>
    /// <param name="offset"><see cref="RecordView.HeadersOffset"/>.</param>
    /// <param name="count"><see cref="RecordView.HeaderCount"/>.</param>
    public static RecordHeader[] ReadHeaders(ReadOnlyMemory<byte> payload, int offset, int count)
    {
        RecordHeader[] headers = count == 0 ? [] : new RecordHeader[count];
        for (int i = 0; i < count; i++)
        {
            TryReadBytes(payload.Span, ref offset, out int keyOffset, out int keyLength);
            string key = Encoding.UTF8.GetString(payload.Span.Slice(keyOffset, keyLength));
            TryReadBytes(payload.Span, ref offset, out int valueOffset, out int valueLength);
            headers[i] = new RecordHeader(key, valueLength < 0 ? (ReadOnlyMemory<byte>?)null : payload.Slice(valueOffset, valueLength));
        }

        return headers;
    }

    /// <summary>A length and that many bytes; -1 stands for null.</summary>
    internal static bool TryReadBytes(ReadOnlySpan<byte> source, ref int at, out int offset, out int length)
    {
        bool fits = Varint.TryRead(source, ref at, out length) && length >= -1 && length <= source.Length - at;
        offset = at;
        at += fits ? Math.Max(0, length) : 0;
        return fits;
    }

    /// <summary>Skips headers, each a name that is not null and a value; false for a malformed one.</summary>
    internal static bool TrySkipHeaders(ReadOnlySpan<byte> record, ref int at, int count)
    {
        for (int i = 0; i < count; i++)
        {
            if (!TryReadBytes(record, ref at, out _, out int name) || name < 0 || !TryReadBytes(record, ref at, out _, out _))
                return false;
        }

        return true;
    }

    private readonly bool TryReadBody(ReadOnlySpan<byte> source, int at, out RecordView record, out int stop)
    {
        record = default;
        stop = at + 1; // The record's attributes: no bit is in use.
        if (!Varint.TryRead(source, ref stop, out long timestampDelta)
            || !Varint.TryRead(source, ref stop, out int offsetDelta)
            || !TryReadBytes(source, ref stop, out int keyOffset, out int keyLength)
            || !TryReadBytes(source, ref stop, out int valueOffset, out int valueLength)
            || !Varint.TryRead(source, ref stop, out int headerCount) || headerCount < 0)
        {
            return false;
        }

        record = new RecordView(_payload)
        {
            OffsetDelta = offsetDelta,
            TimestampDelta = timestampDelta,
            KeyOffset = keyOffset,
            KeyLength = keyLength,
            ValueOffset = valueOffset,
            ValueLength = valueLength,
            HeadersOffset = stop,
            HeaderCount = headerCount,
        };
        return TrySkipHeaders(source, ref stop, headerCount);
    }

    private bool Fail(string reason)
    {
        Problem = ValidationResult.Invalid($"Record {_read} of {count} at byte {Position} of the batch's records is malformed: {reason}.");
        return false;
    }
}
