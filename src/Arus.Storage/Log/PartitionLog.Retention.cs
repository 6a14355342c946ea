namespace Arus.Storage;

/// <content>Retention by time and size, and removal of segments.</content>
internal sealed partial class PartitionLog
{
    private int _maintaining;

    public async ValueTask<LogMaintenanceResult> MaintainAsync(CancellationToken cancellationToken = default)
    {
        if (Interlocked.Exchange(ref _maintaining, 1) != 0)
        {
            return default;
        }

        try
        {
            LogMaintenanceResult result = await Run(ApplyRetention).ConfigureAwait(false);
            if (Config.Compact && !cancellationToken.IsCancellationRequested)
            {
                (int segments, long bytes) = await CompactAsync(cancellationToken).ConfigureAwait(false);
                result = result with { SegmentsCompacted = segments, BytesFreed = result.BytesFreed + bytes };
            }

            return result;
        }
        catch (LogException) when (_phase != LogPhase.Open)
        {
            return default; // Closed meanwhile.
        }
        finally
        {
            Volatile.Write(ref _maintaining, 0);
        }
    }

    private LogMaintenanceResult ApplyRetention()
    {
        int expired = _producers.Expire(_shared.NowMs - (long)_shared.Options.ProducerExpiration.TotalMilliseconds);
        TopicConfig config = Config;
        if (_segments.Count == 0)
        {
            return new LogMaintenanceResult(0, 0, 0, expired);
        }

        int doomed = _segments.TakeWhile((segment, i) => segment.NextOffset <= _logStart && CanGo(segment, i)).Count();
        if (config.Delete)
        {
            doomed = Math.Max(doomed, Math.Max(CountExpired(config), CountOversize(config)));
        }

        if (doomed == 0)
        {
            return new LogMaintenanceResult(0, 0, 0, expired);
        }

        if (doomed == _segments.Count)
        {
            // The last segment goes too, but not the offsets: a new one takes them up.
            RollActive();
        }

        long freed = _segments.Take(doomed).Sum(segment => (long)segment.Size);
        DeleteSegments(doomed);
        return new LogMaintenanceResult(doomed, 0, freed, expired);
    }

    /// <summary>How many segments from the start have no record young enough.</summary>
    private int CountExpired(TopicConfig config)
    {
        if (config.RetentionMs < 0)
        {
            return 0;
        }

        long nowMs = _shared.NowMs;
        return _segments.TakeWhile((segment, i) => CanGo(segment, i) && nowMs - LatestTime(segment) > config.RetentionMs).Count();
    }

    /// <summary>All but an empty last segment: that one keeps the log's end.</summary>
    private bool CanGo(Segment segment, int index) => segment.Size > 0 || index + 1 < _segments.Count;

    /// <summary>By the records' own timestamps; without any, by the time of the append.</summary>
    private static long LatestTime(Segment segment) => segment.MaxTimestamp >= 0 ? segment.MaxTimestamp : segment.LastAppendMs;

    /// <summary>How many segments from the start can go while at least <c>retention.bytes</c> stay.</summary>
    private int CountOversize(TopicConfig config)
    {
        if (config.RetentionBytes < 0)
        {
            return 0;
        }

        long excess = _sizeBytes - config.RetentionBytes;
        int count = 0;
        while (count < _segments.Count - 1 && excess - _segments[count].Size >= 0)
        {
            excess -= _segments[count++].Size;
        }

        return count;
    }

    /// <summary>Begins a new, empty segment at the log's end.</summary>
    private void RollActive()
    {
        Segment active = _segments[^1];
        AddSegment(_nextOffset);
        (_activeSize, _activeFirstMs, _activeBase) = (0, -1, _nextOffset);
        SyncFull(active);
    }

    /// <summary>Removes the first segments, never the last one.</summary>
    private void DeleteSegments(int count)
    {
        if (count == 0)
        {
            return;
        }

        List<Segment> removed = _segments[..count];
        lock (_stateLock)
        {
            _segments.RemoveRange(0, count);
            Volatile.Write(ref _logStart, Math.Max(_logStart, _segments[0].BaseOffset));
            Volatile.Write(ref _sizeBytes, _segments.Sum(segment => (long)segment.Size));
            _epochs.AdvanceStart(_logStart);
            _cursor = default;
        }

        foreach (Segment segment in removed)
        {
            RemoveFiles(segment);
        }
    }

    /// <summary>
    /// Takes a segment's files out of the log. Deleting a large file takes time, so it is only renamed here; what a crash leaves of it
    /// is removed when the log is opened.
    /// </summary>
    private void RemoveFiles(Segment segment)
    {
        segment.File.Retire();
        string doomed = segment.File.Path + DeletedSuffix;
        _shared.FileSystem.RenameFile(segment.File.Path, doomed);
        _shared.FileSystem.DeleteFile(segment.IndexPath);
        _shared.Scheduler.Queue(LogLane.Clean, _affinity, new FileRemoval(this, doomed));
    }

    private sealed class FileRemoval(PartitionLog log, string path) : ILogWork
    {
        public void Execute()
        {
            try
            {
                log._shared.FileSystem.DeleteFile(path);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                log._shared.Report(
                    LogEventKind.Failed, log.Partition, path, $"{path} cannot be deleted and takes up space: {error.Message}", error: error);
            }
        }
    }
}
