namespace Arus.Storage;

/// <content>The head: claiming an epoch, checkpoints, recovery, retention and merging.</content>
public sealed partial class RowPartitionLog
{
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

    public ValueTask<LogMaintenanceResult> MaintainAsync(CancellationToken cancellationToken = default) => new(RunAsync(MaintainCoreAsync));

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
        for (int first = 0; first < _rows.Count; first++)
        {
            long size = 0;
            int count = 0;
            while (first + count < _rows.Count && size + _rows[first + count].Size <= _options.MergedRowBytes)
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
            RowInfo info = row.Info with { MergedEpoch = _claimedEpoch };

            // A row of that key is one of ours from before, and the same.
            await RetryAsync(() => _store.TryInsertAsync(info.Key, row.Serialize())).ConfigureAwait(false);
            lock (_lock)
            {
                _garbage.AddRange(parts.Select(part => part.Key));
                _rows = [.. _rows[..first], info, .. _rows[(first + count)..]];
            }

            merged += count;
        }

        return merged;
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
            await RetryAsync(async () =>
            {
                await _store.DeleteAsync(key).ConfigureAwait(false);
                return true;
            }).ConfigureAwait(false);
        }

        lock (_lock)
        {
            _garbage = [];
        }
    }

    /// <summary>Writes the head with a new epoch, so that older leaders find out; then sees what they wrote before. Null on success.</summary>
    private async Task<string?> ClaimAsync(int epoch)
    {
        const int Attempts = 100;
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            await LoadHeadAsync().ConfigureAwait(false);
            if (_claimedEpoch > epoch)
            {
                return FencedBy(_claimedEpoch, epoch);
            }

            await ProbeAsync().ConfigureAwait(false);
            if (LatestEpoch > epoch)
            {
                return FencedBy(LatestEpoch, epoch);
            }

            // Equal: an earlier attempt of ours was written, and its answer was lost.
            if (_claimedEpoch == epoch || await WriteHeadAsync(epoch).ConfigureAwait(false))
            {
                _claimedEpoch = epoch;
                await ProbeAsync().ConfigureAwait(false);
                _isLeader = true;
                return null;
            }
        }

        return $"The head of {Partition} was written by others {Attempts} times in a row.";
    }

    /// <summary>Brings the head up to date; false when another leader has claimed it or the store fails, which fails this log.</summary>
    private async Task<bool> TryCheckpointAsync()
    {
        try
        {
            for (int attempt = 0; _isLeader && attempt < _options.StoreAttempts; attempt++)
            {
                if (await WriteHeadAsync(_claimedEpoch).ConfigureAwait(false))
                {
                    return true;
                }

                // Of one epoch there is one leader: a head of ours is a write of ours whose answer was lost.
                StoredHead? head = await RetryAsync(() => _store.ReadHeadAsync()).ConfigureAwait(false);
                int leader = head is null ? int.MaxValue : RowLogHead.Deserialize(head.Bytes.Span).LeaderEpoch;
                if (leader != _claimedEpoch)
                {
                    Fail(new LogException(FencedBy(leader, _claimedEpoch)));
                    return false;
                }

                _headETag = head!.ETag;
            }
        }
        catch (Exception error)
        {
            Fail(error);
        }

        return false;
    }

    /// <summary>False when somebody else wrote it, or when it is not known whether this write took effect.</summary>
    private async Task<bool> WriteHeadAsync(int epoch)
    {
        byte[] bytes;
        lock (_lock)
        {
            bytes = new RowLogHead(
                epoch, _logStart, _next, [.. _rows], _epochs.Entries.ToArray(), [.. _garbage], ProducerSnapshot.Serialize(_producers)).Serialize();
        }

        string? etag;
        try
        {
            etag = await _store.TryWriteHeadAsync(bytes, _headETag).ConfigureAwait(false);
        }
        catch (Exception error) when (error is not LogException)
        {
            return false; // The caller reads what is there now.
        }

        if (etag is null)
        {
            return false;
        }

        _headETag = etag;
        _rowsSinceCheckpoint = 0;
        return true;
    }

    private async Task LoadHeadAsync()
    {
        StoredHead? stored = await RetryAsync(() => _store.ReadHeadAsync()).ConfigureAwait(false);
        if (stored is null)
        {
            _headETag = null;
            return;
        }

        RowLogHead head = RowLogHead.Deserialize(stored.Bytes.Span);
        ProducerStates producers = ProducerSnapshot.Deserialize(head.Producers)
            ?? throw new LogException($"The head of {Partition} is damaged: its producers cannot be read.");
        lock (_lock)
        {
            _headETag = stored.ETag;
            _claimedEpoch = head.LeaderEpoch;
            _rows = [.. head.Rows];
            _epochs = new LeaderEpochs(head.Epochs);
            _producers = producers;
            _garbage = [.. head.Garbage];
            _rowsSinceCheckpoint = 0;
            Volatile.Write(ref _logStart, head.LogStartOffset);
            Volatile.Write(ref _next, head.NextOffset);
            Volatile.Write(ref _sizeBytes, _rows.Sum(row => (long)row.Size));
        }
    }

    /// <summary>Takes in the rows that stand behind the known end.</summary>
    private async Task ProbeAsync()
    {
        while (true)
        {
            string key = RowInfo.KeyOf(_next);
            if (await RetryAsync(() => _store.ReadAsync(key)).ConfigureAwait(false) is not { } bytes)
            {
                return;
            }

            SegmentRow row = SegmentRow.Deserialize(key, bytes);
            foreach (ReadOnlyMemory<byte> batch in BatchesOf(row.Batches))
            {
                var header = new RecordBatchHeader(batch.Span);
                if (header.HasProducerId)
                {
                    _producers.Add(header, header.BaseOffset, NowMs);
                }
            }

            Take(row, row.Info, producers: false);
        }
    }

    private void Take(SegmentRow row, RowInfo info, bool producers = true)
    {
        lock (_lock)
        {
            foreach (ReadOnlyMemory<byte> batch in producers ? BatchesOf(row.Batches) : [])
            {
                var header = new RecordBatchHeader(batch.Span);
                if (header.HasProducerId)
                {
                    _producers.Add(header, header.BaseOffset, NowMs);
                }
            }

            _rows.Add(info);
            _epochs.Add(row.LeaderEpoch, row.BaseOffset);
            _cache.Add(info.Key, row.Batches);
            _rowsSinceCheckpoint++;
            Volatile.Write(ref _sizeBytes, _sizeBytes + row.Batches.Length);
            Volatile.Write(ref _next, row.NextOffset);
        }
    }

    private static IEnumerable<ReadOnlyMemory<byte>> BatchesOf(ReadOnlyMemory<byte> batches)
    {
        while (RecordBatches.TryReadNext(ref batches, RecordBatches.MaxSizeLimit, out ReadOnlyMemory<byte> batch, out _) == BatchReadStatus.Batch)
        {
            yield return batch;
        }
    }
}
