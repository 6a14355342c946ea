namespace Arus.Compression;

/// <summary>Feeds a scanner with what a codec decompresses, in a buffer that is no larger than a codec's largest piece.</summary>
internal readonly ref struct ScanOutput<TVisitor>(ref RecordScanner<TVisitor> scanner, PooledBufferWriter buffer) : IDecompressionOutput
    where TVisitor : struct, IRecordVisitor
{
    private readonly ref RecordScanner<TVisitor> _scanner = ref scanner;

    public ReadOnlySpan<byte> Window => buffer.WrittenSpan;

    public Span<byte> GetSpan(int size, int window = 0)
    {
        if (buffer.Capacity - buffer.WrittenCount < size)
        {
            Span<byte> written = buffer.WrittenMemoryForUpdate.Span;
            written[^window..].CopyTo(written);
            buffer.Clear();
            buffer.GetSpan(window);
            buffer.Advance(window);
        }

        return buffer.GetSpan(size);
    }

    public bool Advance(int count)
    {
        buffer.Advance(count);
        return _scanner.Feed(buffer.WrittenSpan[^count..]);
    }
}
