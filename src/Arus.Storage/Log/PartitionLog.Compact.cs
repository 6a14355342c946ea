namespace Arus.Storage;

/// <content>Compaction: the last record of each key stays. The clean thread reads and rewrites; the I/O thread swaps.</content>
internal sealed partial class PartitionLog
{
    /// <summary>When the next tombstone may go, as far as this process knows.</summary>
    private long _nextHorizonMs = long.MaxValue;

    private async Task<(int Segments, long BytesFreed)> CompactAsync(CancellationToken cancellationToken)
    {
        CompactionPlan? plan = await Run(PlanCompaction).ConfigureAwait(false);
        if (plan is null)
        {
            return (0, 0);
        }

        (int segments, long freed, long horizon) = (0, 0, long.MaxValue);
        try
        {
            OffsetMap map = await OnCleanThread(() => MapKeys(plan)).ConfigureAwait(false);
            foreach (List<Segment> group in Group(plan.Segments.TakeWhile(segment => segment.BaseOffset < map.EndOffset)))
            {
                cancellationToken.ThrowIfCancellationRequested();
                (Segment cleaned, long groupHorizon) = await OnCleanThread(() => CleanGroup(plan, group, map)).ConfigureAwait(false);
                long saved = await Run(() => Swap(plan, group, cleaned)).ConfigureAwait(false);
                (segments, freed) = saved > 0 ? (segments + group.Count, freed + saved) : (segments, freed);
                horizon = Math.Min(horizon, groupHorizon);
            }

            await Run(() =>
            {
                _cleanedOffset = plan.Generation == _generation ? Math.Max(_cleanedOffset, map.EndOffset) : _cleanedOffset;
                _nextHorizonMs = horizon;
                return true;
            }).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // What was swapped is done; the next pass goes on.
        }
        catch (FileRetiredException)
        {
            // Retention or truncation took a segment; the next pass sees what is left.
        }
        catch (Exception error) when (_failure is null && _phase == LogPhase.Open)
        {
            _shared.Report(
                LogEventKind.Failed, Partition, _directory, $"Compaction of {_directory} stopped, and nothing was lost: {error.Message}", error: error);
        }

        return (segments, freed);
    }

    /// <summary>What may be cleaned now; null when it is not worth it.</summary>
    private CompactionPlan? PlanCompaction()
    {
        TopicConfig config = Config;
        long nowMs = _shared.NowMs;
        if (_segments.Count == 0)
        {
            return null;
        }

        bool limitsLag = config.MaxCompactionLagMs < long.MaxValue;
        if (limitsLag && _segments[^1].FirstAppendMs >= 0 && nowMs - _segments[^1].FirstAppendMs > config.MaxCompactionLagMs)
        {
            RollActive();
            WriteCurrentCheckpoint();
        }

        List<Segment> cleanable =
        [
            .. _segments.TakeWhile((segment, i) =>
                i + 1 < _segments.Count && segment.Synced && segment.BaseOffset < _recovery.Segment
                && CompactionRules.IsOldEnough(config, PieceOf(segment), nowMs)),
        ];
        return CompactionRules.IsDue(config, cleanable.ConvertAll(PieceOf), _cleanedOffset, _nextHorizonMs, nowMs)
            ? new CompactionPlan(
                cleanable, _cleanedOffset, _generation,
                _producers.All.Select(pair => pair.Value.LastOffset).ToHashSet(), nowMs)
            : null;
    }

    private static CompactionPiece PieceOf(Segment segment) =>
        new(segment.NextOffset, segment.Size, LatestTime(segment), segment.FirstAppendMs);

    private OffsetMap MapKeys(CompactionPlan plan)
    {
        var map = new OffsetMap(_shared.Options.CompactionMapBytes) { EndOffset = plan.FirstDirtyOffset };
        foreach (Segment segment in plan.Segments)
        {
            if (segment.NextOffset > plan.FirstDirtyOffset)
            {
                CompactionKeys.Add(map, segment, segment.Size, plan.FirstDirtyOffset);
                if (map.EndOffset < segment.NextOffset)
                {
                    return map; // Full: the next pass goes on from here.
                }
            }
        }

        return map;
    }

    /// <summary>Neighbours whose sum fits into one segment are made one.</summary>
    private IEnumerable<List<Segment>> Group(IEnumerable<Segment> segments)
    {
        long limit = Config.SegmentBytes;
        List<Segment> group = [];
        long size = 0;
        foreach (Segment segment in segments.ToArray())
        {
            if (group.Count > 0 && (size + segment.Size > limit || segment.NextOffset - group[0].BaseOffset > int.MaxValue / 2))
            {
                yield return group;
                (group, size) = ([], 0);
            }

            group.Add(segment);
            size += segment.Size;
        }

        if (group.Count > 0)
        {
            yield return group;
        }
    }

    private (Segment Cleaned, long NextHorizonMs) CleanGroup(CompactionPlan plan, List<Segment> group, OffsetMap map)
    {
        using var cleaner = new BatchCleaner(map, plan.LastOffsetsOfProducers, plan.NowMs, (long)Config.DeleteRetention.TotalMilliseconds);
        Segment cleaned = SegmentRewriter.Rewrite(_shared, _directory, group, Config.IndexIntervalBytes, cleaner);
        return (cleaned, cleaner.NextHorizonMs);
    }

    /// <summary>Puts the cleaned segment in the place of its group; answers the bytes saved, 0 when nothing changed.</summary>
    private long Swap(CompactionPlan plan, List<Segment> group, Segment cleaned)
    {
        lock (_metaLock)
        {
            string path = SegmentRewriter.CleanedPath(cleaned);
            long before = group.Sum(segment => (long)segment.Size);
            int first = _segments.IndexOf(group[0]);
            bool inPlace = plan.Generation == _generation && first >= 0 && first + group.Count < _segments.Count
                && _segments[first + group.Count - 1] == group[^1];
            if (!inPlace || (cleaned.Size == before && group.Count == 1 && !ChangedBytes(group[0], path)))
            {
                _shared.FileSystem.DeleteFile(path);
                return 0;
            }

            long next = _segments[first + group.Count].BaseOffset;
            _shared.FileSystem.RenameFile(path, CompactionSwap.SwapPath(_directory, cleaned.BaseOffset, next));
            _shared.FileSystem.SyncDirectory(_directory);
            group.ForEach(segment => segment.File.Retire());
            CompactionSwap.Complete(_shared.FileSystem, _directory, cleaned.BaseOffset, next);
            DurableFile.Write(_shared.FileSystem, cleaned.IndexPath, IndexFile.Serialize(cleaned), durable: false);
            lock (_stateLock)
            {
                _segments.RemoveRange(first, group.Count);
                _segments.Insert(first, cleaned);
                cleaned.Index = null;
                _cursor = default;
                Volatile.Write(ref _sizeBytes, _segments.Sum(segment => (long)segment.Size));
            }

            return before - cleaned.Size;
        }
    }

    /// <summary>Whether a rewritten segment of the same size differs: a delete horizon was set.</summary>
    private bool ChangedBytes(Segment old, string cleanedPath)
    {
        using ILogFile file = _shared.FileSystem.Open(cleanedPath, create: false);
        byte[] left = new byte[64 * 1024];
        byte[] right = new byte[left.Length];
        for (int position = 0; position < old.Size; position += left.Length)
        {
            int length = Math.Min(left.Length, old.Size - position);
            if (old.File.Read(position, left.AsSpan(0, length)) != file.Read(position, right.AsSpan(0, length))
                || !left.AsSpan(0, length).SequenceEqual(right.AsSpan(0, length)))
            {
                return true;
            }
        }

        return false;
    }

    private Task<T> OnCleanThread<T>(Func<T> action)
    {
        var work = new ReadWork<T>(this, action, retries: false);
        _shared.Scheduler.Queue(LogLane.Clean, _affinity, work);
        return work.Task;
    }

    /// <param name="FirstDirtyOffset">Everything before it was cleaned in an earlier pass.</param>
    private sealed record CompactionPlan(
        List<Segment> Segments, long FirstDirtyOffset, int Generation, HashSet<long> LastOffsetsOfProducers, long NowMs);
}
