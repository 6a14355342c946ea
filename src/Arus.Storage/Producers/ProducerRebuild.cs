namespace Arus.Storage;

/// <summary>Finds out what the producers of a log were at an offset that lies further back than they are known.</summary>
internal static class ProducerRebuild
{
    /// <summary>Reads the newest snapshot that is not later than the log's end, and the batches since.</summary>
    /// <param name="segments">What the log has, or more; batches behind the end do not count.</param>
    /// <exception cref="LogException">A batch is damaged.</exception>
    public static ProducerStateManager Run(LogShared shared, string directory, IReadOnlyList<Segment> segments, long end)
    {
        var rebuilt = new ProducerStateManager();
        long from = 0;
        IEnumerable<long> snapshots = Segment.ListOffsets(shared.FileSystem, directory, Segment.SnapshotSuffix);
        foreach (long offset in snapshots.Where(offset => offset <= end).OrderDescending())
        {
            string path = Segment.PathOf(directory, offset, Segment.SnapshotSuffix);
            if (ProducerSnapshot.Read(shared.FileSystem, path) is { } snapshot)
            {
                (rebuilt, from) = (snapshot, offset);
                break;
            }
        }

        foreach (Segment segment in segments.Where(segment => segment.NextOffset > from))
        {
            using var scanner = new SegmentScanner(segment.File, 0, segment.Size);
            while (scanner.ReadNext(out RecordBatchHeader header, out ReadOnlyMemory<byte> batch))
            {
                if (header.BaseOffset >= from && header.NextOffset <= end)
                    rebuilt.AddStored(batch.Span, shared.NowMs);
            }
        }

        return rebuilt;
    }
}
