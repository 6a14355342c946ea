namespace Arus.Storage;

/// <summary>
/// Compaction: the last record of each key stays. The clean thread reads and rewrites; only putting the cleaned segments in the place
/// of the old ones is an exclusive operation.
/// </summary>
internal sealed class LogCleaner(
    LogContext log, SegmentList segments, ProducerStateManager producers, LogCheckpointer checkpointer, LogOperations operations,
    LogRetention retention)
{
    private const int RewriteBufferBytes = 1 << 20;

    /// <summary>When the next tombstone may go, as far as this process knows.</summary>
    private long _nextHorizonMs = long.MaxValue;

    public async Task<(int Segments, long BytesFreed)> CleanAsync(CancellationToken cancellationToken)
    {
        CompactionPlan<Segment>? plan = await operations.RunAsync(Plan).ConfigureAwait(false);
        if (plan is null)
            return (0, 0);

        (int cleanedSegments, long freed, long horizon) = (0, 0, long.MaxValue);
        try
        {
            plan = plan with { Aborted = await FindAbortedAsync(plan.EndOffset).ConfigureAwait(false) };
            OffsetMap map = await log.RunAsync(LogLane.Clean, () => MapKeys(plan)).ConfigureAwait(false);
            var transactions = new CleanedTransactions(plan.Aborted);
            foreach (List<Segment> group in plan.Group(map, log.Config.SegmentBytes))
            {
                cancellationToken.ThrowIfCancellationRequested();
                using BatchCleaner cleaner = plan.NewCleaner(map, transactions, log.Config);
                Segment cleaned = await log.RunAsync(LogLane.Clean, () => Rewrite(group, cleaner)).ConfigureAwait(false);
                bool changed = cleaner.HasChanged || group.Count > 1;
                long saved = await operations.RunAsync(() => Swap(plan, group, cleaned, changed)).ConfigureAwait(false);
                (cleanedSegments, freed) = saved > 0 ? (cleanedSegments + group.Count, freed + saved) : (cleanedSegments, freed);
                horizon = Math.Min(horizon, cleaner.NextHorizonMs);
            }

            await operations.RunAsync(() => Finish(plan, map.EndOffset, horizon)).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // What was swapped is done; the next pass goes on.
        }
        catch (FileRetiredException)
        {
            // Retention or truncation took a segment; the next pass sees what is left.
        }
        catch (Exception error) when (log.Failure is null && log.Phase == LogPhase.Open)
        {
            string message = $"Compaction of {log.Directory} stopped, and nothing was lost: {error.Message}";
            log.Report(LogEventKind.Failed, log.Directory, message, error);
        }

        return (cleanedSegments, freed);
    }

    /// <summary>What may be cleaned now; null when it is not worth it.</summary>
    private CompactionPlan<Segment>? Plan()
    {
        TopicConfig config = log.Config;
        long nowMs = log.Shared.NowMs;
        if (segments.All is not [.., var active])
            return null;

        bool limitsLag = config.MaxCompactionLagMs < long.MaxValue;
        if (limitsLag && active.FirstAppendMs >= 0 && nowMs - active.FirstAppendMs > config.MaxCompactionLagMs)
        {
            retention.Roll();
            checkpointer.CheckpointEnd();
        }

        (long recovery, long end) = (checkpointer.RecoverySegment, segments.LastStableOffset);
        List<Segment> cleanable =
        [
            .. segments.All.SkipLast(1).TakeWhile(segment =>
                segment.Synced && segment.BaseOffset < recovery && segment.NextOffset <= end
                && CompactionRules.IsOldEnough(config, PieceOf(segment), nowMs)),
        ];
        return CompactionRules.IsDue(config, cleanable.ConvertAll(PieceOf), checkpointer.CleanedOffset, _nextHorizonMs, nowMs)
            ? new CompactionPlan<Segment>(cleanable, checkpointer.CleanedOffset, segments.Generation, producers.Last(), nowMs)
            : null;
    }

    private async Task<IReadOnlyList<LogAbortedTransaction>> FindAbortedAsync(long end) =>
        await new LogReader(log, segments).FindAbortedAsync(0, end).ConfigureAwait(false);

    private static CompactionPiece PieceOf(Segment segment) =>
        new(segment.NextOffset, segment.Size, segment.LatestMs, segment.FirstAppendMs);

    private OffsetMap MapKeys(CompactionPlan<Segment> plan)
    {
        var map = new OffsetMap(log.Shared.Options.CompactionMapBytes) { EndOffset = plan.FirstDirtyOffset };
        using var scratch = new PooledBufferWriter();
        var transactions = new CleanedTransactions(plan.Aborted);
        foreach (Segment segment in plan.Dirty)
        {
            using var scanner = new SegmentScanner(segment.File, 0, segment.Size);
            while (scanner.ReadNext(out _, out ReadOnlyMemory<byte> batch)
                && CompactionKeys.TryAdd(map, batch, plan.FirstDirtyOffset, transactions, scratch))
            {
            }

            if (map.EndOffset < segment.NextOffset)
            {
                return map; // Full: the next pass goes on from here.
            }
        }

        return map;
    }

    /// <summary>Writes what stays of some segments into one new file, and its index along with it.</summary>
    /// <returns>The new segment, whose file still bears the suffix <see cref="CompactionSwap.CleanedSuffix"/>, synced.</returns>
    private Segment Rewrite(List<Segment> group, BatchCleaner cleaner)
    {
        Segment cleaned = group[0].Empty(log.Config);
        cleaned.Synced = true;
        string path = CleanedPath(cleaned);
        log.Shared.FileSystem.DeleteFile(path);
        using ILogFile file = log.Shared.FileSystem.Open(path, create: true);
        using var buffer = new PooledBufferWriter(RewriteBufferBytes);
        long written = 0;
        foreach (Segment segment in group)
        {
            using var scanner = new SegmentScanner(segment.File, 0, segment.Size);
            while (scanner.ReadNext(out _, out ReadOnlyMemory<byte> batch))
            {
                ReadOnlyMemory<byte> kept = cleaner.Clean(batch);
                if (kept.IsEmpty)
                    continue;

                var header = new RecordBatchHeader(kept.Span);
                cleaned.Add(
                    header.BaseOffset, header.NextOffset, kept.Length, header.MaxTimestamp, segment.Header.LastAppendMs, cleaner.Aborted);
                kept.Span.CopyTo(buffer.GetSpan(kept.Length));
                buffer.Advance(kept.Length);
                if (buffer.WrittenCount >= RewriteBufferBytes)
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

    /// <summary>Puts the cleaned segment in the place of its group; answers the bytes saved, 0 when nothing changed.</summary>
    private long Swap(CompactionPlan<Segment> plan, List<Segment> group, Segment cleaned, bool changed)
    {
        using (checkpointer.Exclude())
        {
            ILogFileSystem fileSystem = log.Shared.FileSystem;
            string path = CleanedPath(cleaned);
            long before = group.Sum(segment => (long)segment.Size);
            Segment[] all = segments.All;
            int first = Array.IndexOf(all, group[0]);
            bool inPlace = plan.Generation == segments.Generation && first >= 0 && first + group.Count < all.Length
                && all[first + group.Count - 1] == group[^1];
            if (!inPlace || !changed)
            {
                fileSystem.DeleteFile(path);
                return 0;
            }

            long next = all[first + group.Count].BaseOffset;
            fileSystem.RenameFile(path, CompactionSwap.SwapPath(log.Directory, cleaned.BaseOffset, next));
            fileSystem.SyncDirectory(log.Directory);
            group.ForEach(segment => segment.File.Retire());
            CompactionSwap.Complete(fileSystem, log.Directory, cleaned.BaseOffset, next);
            fileSystem.ReplaceFile(cleaned.IndexPath, IndexFile.Serialize(cleaned), durable: false);
            cleaned.Index = null;
            segments.Replace(first, group.Count, cleaned);
            return before - cleaned.Size;
        }
    }

    private static string CleanedPath(Segment segment) => segment.File.Path + CompactionSwap.CleanedSuffix;

    private bool Finish(CompactionPlan<Segment> plan, long cleanedTo, long horizon)
    {
        bool isValid = plan.Generation == segments.Generation;
        checkpointer.CleanedOffset = isValid ? Math.Max(checkpointer.CleanedOffset, cleanedTo) : checkpointer.CleanedOffset;
        _nextHorizonMs = horizon;
        return isValid;
    }
}
