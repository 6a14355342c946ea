namespace Arus;

/// <summary>
/// One record of a batch, as slices of the batch's payload. It lives no longer than the payload's span; what must outlive it is
/// cut from the payload's memory by <see cref="KeyOffset"/> and its like.
/// </summary>
public readonly ref struct RecordView
{
    private readonly ReadOnlySpan<byte> payload;

    internal RecordView(
        ReadOnlySpan<byte> payload, int offsetDelta, long timestampDelta, int keyOffset, int keyLength, int valueOffset, int valueLength,
        int headersOffset, int headerCount)
    {
        this.payload = payload;
        OffsetDelta = offsetDelta;
        TimestampDelta = timestampDelta;
        KeyOffset = keyOffset;
        KeyLength = keyLength;
        ValueOffset = valueOffset;
        ValueLength = valueLength;
        HeadersOffset = headersOffset;
        HeaderCount = headerCount;
    }

    /// <summary>Relative to the batch's base offset.</summary>
    public int OffsetDelta { get; }

    /// <summary>Milliseconds relative to the batch's base timestamp; without meaning under LogAppendTime.</summary>
    public long TimestampDelta { get; }

    /// <summary>Where the key begins in the payload.</summary>
    public int KeyOffset { get; }

    /// <summary>-1 for a null key.</summary>
    public int KeyLength { get; }

    /// <summary>Where the value begins in the payload.</summary>
    public int ValueOffset { get; }

    /// <summary>-1 for a null value (a tombstone).</summary>
    public int ValueLength { get; }

    /// <summary>Where the first header begins in the payload.</summary>
    public int HeadersOffset { get; }

    public int HeaderCount { get; }

    public bool IsKeyNull => KeyLength < 0;

    public bool IsValueNull => ValueLength < 0;

    /// <summary>Empty for a null key.</summary>
    public ReadOnlySpan<byte> Key => payload.Slice(KeyOffset, Math.Max(0, KeyLength));

    /// <summary>Empty for a null value.</summary>
    public ReadOnlySpan<byte> Value => payload.Slice(ValueOffset, Math.Max(0, ValueLength));

    public RecordHeaderReader Headers => new(payload, HeadersOffset, HeaderCount);
}

/// <summary>
/// Walks the records of a batch's uncompressed payload without allocating. It never reads past the payload, and stops with
/// <see cref="Problem"/> at the first record that does not fit together.
/// </summary>
public ref struct RecordReader
{
    private readonly ReadOnlySpan<byte> payload;
    private readonly int count;
    private int position;
    private int read;

    /// <param name="payload">The records of a batch, uncompressed.</param>
    /// <param name="count">How many records the batch's header says there are.</param>
    public RecordReader(ReadOnlySpan<byte> payload, int count)
    {
        this.payload = payload;
        this.count = count;
    }

    /// <summary>What ended the walk early; OK while all is well.</summary>
    public ValidationResult Problem { get; private set; }

    /// <summary>Bytes of the payload that were read.</summary>
    public readonly int Position => position;

    /// <summary>Reads the next record; false after the last one, or with <see cref="Problem"/> set.</summary>
    public bool TryRead(out RecordView record)
    {
        record = default;
        if (read == count || !Problem.IsOk)
        {
            return false;
        }

        int at = position;
        if (!Varint.TryRead(payload, ref at, out int length) || length < 0 || length > payload.Length - at)
        {
            return Fail("its length runs past the end of the batch");
        }

        int end = at + length;
        if (length == 0 || !TryReadBody(payload[..end], at, out record, out int stop))
        {
            return Fail("its fields do not fit into its length");
        }

        if (stop != end)
        {
            return Fail($"{end - stop} bytes follow its last header");
        }

        position = end;
        read++;
        return true;
    }

    private readonly bool TryReadBody(ReadOnlySpan<byte> source, int at, out RecordView record, out int stop)
    {
        record = default;
        at++; // The record's attributes: no bit is in use.
        stop = at;
        if (!Varint.TryRead(source, ref at, out long timestampDelta)
            || !Varint.TryRead(source, ref at, out int offsetDelta)
            || !TryReadBytes(source, ref at, out int keyOffset, out int keyLength)
            || !TryReadBytes(source, ref at, out int valueOffset, out int valueLength)
            || !Varint.TryRead(source, ref at, out int headerCount) || headerCount < 0)
        {
            return false;
        }

        int headersOffset = at;
        for (int i = 0; i < headerCount; i++)
        {
            if (!TryReadBytes(source, ref at, out _, out int nameLength) || nameLength < 0 || !TryReadBytes(source, ref at, out _, out _))
            {
                return false;
            }
        }

        record = new RecordView(
            payload, offsetDelta, timestampDelta, keyOffset, keyLength, valueOffset, valueLength, headersOffset, headerCount);
        stop = at;
        return true;
    }

    /// <summary>A length and that many bytes; -1 stands for null.</summary>
    internal static bool TryReadBytes(ReadOnlySpan<byte> source, ref int at, out int offset, out int length)
    {
        bool fits = Varint.TryRead(source, ref at, out length) && length >= -1 && length <= source.Length - at;
        offset = at;
        at += fits ? Math.Max(0, length) : 0;
        return fits;
    }

    private bool Fail(string reason)
    {
        Problem = ValidationResult.Invalid($"Record {read} of {count} at byte {position} of the batch's records is malformed: {reason}.");
        return false;
    }
}

/// <summary>One header of a record.</summary>
public readonly ref struct RecordHeaderView
{
    internal RecordHeaderView(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, int valueOffset, int valueLength)
    {
        Key = key;
        Value = value;
        ValueOffset = valueOffset;
        ValueLength = valueLength;
    }

    /// <summary>UTF-8; not checked to be so.</summary>
    public ReadOnlySpan<byte> Key { get; }

    /// <summary>Empty for a null value.</summary>
    public ReadOnlySpan<byte> Value { get; }

    /// <summary>Where the value begins in the payload.</summary>
    public int ValueOffset { get; }

    /// <summary>-1 for a null value.</summary>
    public int ValueLength { get; }

    public bool IsValueNull => ValueLength < 0;
}

/// <summary>Walks the headers of a record, which <see cref="RecordReader"/> has checked.</summary>
public ref struct RecordHeaderReader
{
    private readonly ReadOnlySpan<byte> payload;
    private int position;
    private int left;

    /// <param name="payload">The payload that the record is in.</param>
    /// <param name="headersOffset"><see cref="RecordView.HeadersOffset"/>.</param>
    /// <param name="headerCount"><see cref="RecordView.HeaderCount"/>.</param>
    public RecordHeaderReader(ReadOnlySpan<byte> payload, int headersOffset, int headerCount)
    {
        this.payload = payload;
        position = headersOffset;
        left = headerCount;
    }

    public bool TryRead(out RecordHeaderView header)
    {
        header = default;
        if (left == 0
            || !RecordReader.TryReadBytes(payload, ref position, out int keyOffset, out int keyLength) || keyLength < 0
            || !RecordReader.TryReadBytes(payload, ref position, out int valueOffset, out int valueLength))
        {
            return false;
        }

        left--;
        header = new RecordHeaderView(
            payload.Slice(keyOffset, keyLength), payload.Slice(valueOffset, Math.Max(0, valueLength)), valueOffset, valueLength);
        return true;
    }
}
