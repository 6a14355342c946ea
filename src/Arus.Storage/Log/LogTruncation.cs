namespace Arus.Storage;

/// <summary>Cuts the log's end. Runs as an exclusive operation.</summary>
internal sealed class LogTruncation(
    LogContext log, SegmentList segments, ProducerStateManager producers, LogCheckpointer checkpointer, LogWriter writer)
{
    /// <summary>Removes every batch that holds an offset or a later one.</summary>
    public void TruncateTo(long offset)
    {
        using (checkpointer.Exclude())
        {
            (int index, int position, long end) = FindCut(offset);
            Segment[] all = segments.All;
            producers.ReplaceWith(ProducerRebuild.Run(log.Shared, log.Directory, all[..(index + 1)], end));
            checkpointer.CleanedOffset = Math.Min(checkpointer.CleanedOffset, end);
            segments.TruncateTo(end, all[..(index + 1)], producers);
            Discard(all[(index + 1)..]);
            if (index < 0)
                writer.StartSegment(end);
            else
                segments.Replace(index, 1, Cut(all[index], position, end));

            segments.Tail.Clear();
            checkpointer.DeleteSnapshots(checkpointer.ListSnapshots().Where(snapshot => snapshot > end));
            checkpointer.CheckpointEnd();
        }
    }

    /// <summary>Removes everything; the log goes on at another offset, before or behind what it had.</summary>
    public void RestartAt(long offset)
    {
        using (checkpointer.Exclude())
        {
            Segment[] all = segments.All;
            producers.ReplaceWith(new ProducerStateManager());
            checkpointer.CleanedOffset = Math.Min(checkpointer.CleanedOffset, offset);
            segments.RestartAt(offset);
            Discard(all); // The first batch begins a segment: it may begin before the offset, see LogAppender.
            segments.Tail.Clear();
            checkpointer.DeleteSnapshots(checkpointer.ListSnapshots());
            checkpointer.CheckpointEnd();
        }
    }

    /// <summary>Takes away segments at the log's end: the last first, so that a crash leaves none behind a gap.</summary>
    private void Discard(Segment[] doomed)
    {
        foreach (Segment segment in doomed.Reverse())
            segment.Discard(log);

        // A crash from here on may find the segment before them uncut, but nothing of these.
        log.Shared.FileSystem.SyncDirectory(log.Directory);
    }

    /// <summary>The segment that keeps its beginning (-1 for none), how much of it stays, and where the log ends then.</summary>
    private (int Index, int Position, long End) FindCut(long offset)
    {
        Segment[] all = segments.All;
        int index = Array.FindLastIndex(all, segment => segment.BaseOffset < offset);
        if (index < 0)
            return (-1, 0, offset);

        Segment segment = all[index];
        (long end, int position) = (segment.BaseOffset, 0);
        using var scanner = new SegmentScanner(segment.File, 0, segment.Size);
        while (scanner.ReadNext(out RecordBatchHeader header, out _) && header.NextOffset <= offset)
            (end, position) = (header.NextOffset, position + header.SizeInBytes);

        return (index, position, end);
    }

    /// <summary>Cuts a segment's file; what is known of the segment is made anew from the rest.</summary>
    private Segment Cut(Segment segment, int size, long end)
    {
        SegmentIndex? index = segment.Header.AbortedCount == 0 ? null : segment.Index ?? segment.LoadAborted(log);
        segment.File.SetLength(size);
        segment.File.Flush();
        Segment fresh = segment.Empty(log.Config);
        using var scanner = new SegmentScanner(fresh.File, 0, size);
        while (scanner.ReadNext(out RecordBatchHeader header, out _))
            fresh.Add(header, log.Shared.NowMs);

        foreach (LogAbortedTransaction aborted in index is null ? [] : index.Aborted)
        {
            if (aborted.LastOffset < end)
                fresh.Add(aborted);
        }

        segment.File.Retire();
        return fresh;
    }
}
