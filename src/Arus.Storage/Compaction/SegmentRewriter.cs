namespace Arus.Storage;

/// <summary>Writes what compaction keeps of some segments into one new file, and its index along with it.</summary>
internal static class SegmentRewriter
{
    private const int BufferBytes = 1 << 20;

    /// <returns>The new segment, whose file still bears the suffix <see cref="CompactionSwap.CleanedSuffix"/>, synced.</returns>
    public static Segment Rewrite(ILogFileSystem fileSystem, IReadOnlyList<Segment> group, int indexInterval, BatchCleaner cleaner)
    {
        Segment cleaned = group[0].Empty(indexInterval);
        cleaned.Synced = true;
        string path = CleanedPath(cleaned);
        fileSystem.DeleteFile(path);
        using ILogFile file = fileSystem.Open(path, create: true);
        using var buffer = new PooledBufferWriter(BufferBytes);
        long written = 0;
        foreach (Segment segment in group)
        {
            using var scanner = new SegmentScanner(segment.File, 0, segment.Size);
            while (scanner.TryNext(out _, out ReadOnlyMemory<byte> batch))
            {
                ReadOnlyMemory<byte> kept = cleaner.Clean(batch);
                if (kept.IsEmpty)
                    continue;

                var header = new RecordBatchHeader(kept.Span);
                cleaned.Add(header.BaseOffset, header.NextOffset, kept.Length, header.MaxTimestamp, segment.Header.LastAppendMs);
                kept.Span.CopyTo(buffer.GetSpan(kept.Length));
                buffer.Advance(kept.Length);
                if (buffer.WrittenCount >= BufferBytes)
                    Drain();
            }
        }

        Drain();
        file.Flush();
        cleaned.Header.FirstAppendMs = group[0].FirstAppendMs;
        cleaned.Header.LastAppendMs = group[^1].Header.LastAppendMs;
        return cleaned;

        void Drain()
        {
            if (buffer.WrittenCount > 0)
            {
                file.Write(written, [buffer.WrittenMemory]);
                written += buffer.WrittenCount;
                buffer.Clear();
            }
        }
    }

    public static string CleanedPath(Segment segment) => segment.File.Path + CompactionSwap.CleanedSuffix;
}
