namespace Arus.Storage;

/// <content>Retention, and merging small rows. First the head forgets a row, then it is deleted.</content>
public sealed partial class RowPartitionLog
{
    private int _maintaining;
    private int _lastNumber;

    public ValueTask<LogDeleteResult> DeleteRecordsAsync(long beforeOffset) =>
        new(RunAsync(async () =>
        {
            long target = beforeOffset == -1 ? _next : beforeOffset;
            if (target < 0 || target > _next)
            {
                return new LogDeleteResult(ErrorCode.OffsetOutOfRange, -1);
            }

            if (!_isLeader)
            {
                return new LogDeleteResult(ErrorCode.NotLeaderOrFollower, -1);
            }

            if (target > _logStart)
            {
                AdvanceStart(target);
                if (!await TryCheckpointAsync().ConfigureAwait(false))
                {
                    return new LogDeleteResult(ErrorCode.NotLeaderOrFollower, -1);
                }

                await CollectGarbageAsync().ConfigureAwait(false);
            }

            return new LogDeleteResult(ErrorCode.None, _logStart);
        }));

    public async ValueTask<LogMaintenanceResult> MaintainAsync(CancellationToken cancellationToken = default)
    {
        if (Interlocked.Exchange(ref _maintaining, 1) != 0)
        {
            return default;
        }

        try
        {
            LogMaintenanceResult result = await RunAsync(MaintainCoreAsync).ConfigureAwait(false);
            if (Config.Compact && !cancellationToken.IsCancellationRequested)
            {
                (int rows, long bytes) = await CompactAsync(cancellationToken).ConfigureAwait(false);
                result = result with { SegmentsCompacted = result.SegmentsCompacted + rows, BytesFreed = result.BytesFreed + bytes };
            }

            return result;
        }
        catch (LogException) when (_closed)
        {
            return default; // Closed meanwhile.
        }
        finally
        {
            Volatile.Write(ref _maintaining, 0);
        }
    }

    private async Task<LogMaintenanceResult> MaintainCoreAsync()
    {
        int expired = _producers.Expire(NowMs - (long)_options.ProducerExpiration.TotalMilliseconds);
        if (!_isLeader)
        {
            return new LogMaintenanceResult(0, 0, 0, expired); // Only who leads may change what is there.
        }

        (long before, int rows) = (_sizeBytes, _rows.Count);
        if (Config.Delete)
        {
            AdvanceStart(RetentionStart());
        }

        int deleted = rows - _rows.Count;
        int merged = await MergeAsync().ConfigureAwait(false);
        if ((deleted > 0 || merged > 0 || _rowsSinceCheckpoint > 0 || _garbage.Count > 0) && await TryCheckpointAsync().ConfigureAwait(false))
        {
            await CollectGarbageAsync().ConfigureAwait(false);
        }

        return new LogMaintenanceResult(deleted, merged, before - _sizeBytes, expired);
    }

    private long RetentionStart()
    {
        TopicConfig config = Config;
        long excess = config.RetentionBytes < 0 ? -1 : _sizeBytes - config.RetentionBytes;
        long start = _logStart;
        foreach (RowInfo row in _rows)
        {
            bool tooOld = config.RetentionMs >= 0 && row.MaxTimestamp >= 0 && NowMs - row.MaxTimestamp > config.RetentionMs;
            bool tooMuch = config.RetentionBytes >= 0 && excess - row.Size >= 0 && row.NextOffset < _next;
            if (!tooOld && !tooMuch)
            {
                break;
            }

            excess -= row.Size;
            start = row.NextOffset;
        }

        return start;
    }

    /// <summary>Moves the log start; the rows before it are garbage once the head says so.</summary>
    private void AdvanceStart(long start)
    {
        lock (_lock)
        {
            Volatile.Write(ref _logStart, Math.Max(_logStart, start));
            _epochs.AdvanceStart(_logStart);
            int gone = _rows.TakeWhile(row => row.NextOffset <= _logStart).Count();
            _garbage.AddRange(_rows.Take(gone).Select(row => row.Key));
            _rows = _rows[gone..];
            Volatile.Write(ref _sizeBytes, _rows.Sum(row => (long)row.Size));
        }
    }

    /// <summary>Merges neighbouring small rows; the old ones are garbage once the head says so.</summary>
    private async Task<int> MergeAsync()
    {
        int merged = 0;

        // The last row is not compacted, so it must not become one with the others.
        int kept = Config.Compact ? 1 : 0;
        for (int first = 0; first < _rows.Count; first++)
        {
            long size = 0;
            int count = 0;
            while (first + count < _rows.Count - kept && size + _rows[first + count].Size <= _options.MergedRowBytes)
            {
                size += _rows[first + count++].Size;
            }

            if (count < _options.MergeRows)
            {
                continue;
            }

            List<RowInfo> parts = _rows.GetRange(first, count);
            var batches = new List<ReadOnlyMemory<byte>>(count);
            foreach (RowInfo part in parts)
            {
                batches.Add(await ReadRowAsync(part).ConfigureAwait(false));
            }

            var row = new SegmentRow(
                _claimedEpoch, parts[0].BaseOffset, parts[^1].NextOffset, parts.Max(part => part.MaxTimestamp), Concatenate(batches));
            Replace(first, count, await InsertBesideAsync(row).ConfigureAwait(false));
            merged += count;
        }

        return merged;
    }

    /// <summary>Inserts a row made from others, under a key that no row has had.</summary>
    private async Task<RowInfo> InsertBesideAsync(SegmentRow row)
    {
        byte[] bytes = row.Serialize();
        for (int attempt = 0; attempt < MaxRaces; attempt++)
        {
            RowInfo info = row.InfoIn(++_lastNumber) with { MergedEpoch = _claimedEpoch };
            if (!_garbage.Contains(info.Key) && !_rows.Contains(info) && await TryInsertAsync(info.Key, bytes).ConfigureAwait(false))
            {
                return info;
            }
        }

        throw new LogException($"{Partition} has {MaxRaces} rows of epoch {_claimedEpoch} that are not its leader's.");
    }

    /// <summary>Puts a row in the place of others, or nothing; the head does not say so yet.</summary>
    private void Replace(int first, int count, RowInfo? replacement)
    {
        lock (_lock)
        {
            _garbage.AddRange(_rows.Skip(first).Take(count).Select(part => part.Key));
            _rows = [.. _rows[..first], .. replacement is { } row ? [row] : Array.Empty<RowInfo>(), .. _rows[(first + count)..]];
            Volatile.Write(ref _sizeBytes, _rows.Sum(row => (long)row.Size));
        }
    }

    private static byte[] Concatenate(List<ReadOnlyMemory<byte>> parts)
    {
        byte[] all = new byte[parts.Sum(part => part.Length)];
        int at = 0;
        foreach (ReadOnlyMemory<byte> part in parts)
        {
            part.CopyTo(all.AsMemory(at));
            at += part.Length;
        }

        return all;
    }

    /// <summary>Deletes what the stored head does not need. What a crash leaves is still listed.</summary>
    private async Task CollectGarbageAsync()
    {
        foreach (string key in _garbage)
        {
            await DeleteRowAsync(key).ConfigureAwait(false);
        }

        lock (_lock)
        {
            _garbage = [];
        }
    }

    private Task<bool> DeleteRowAsync(string key) =>
        RetryAsync(async () =>
        {
            await _store.DeleteAsync(key).ConfigureAwait(false);
            return true;
        });
}
