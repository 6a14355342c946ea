namespace Arus.Storage;

/// <content>The head: claiming an epoch, checkpoints and recovery.</content>
public sealed partial class RowPartitionLog
{
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
                int leader = head is null ? DeletedEpoch : RowLogHead.Deserialize(head.Bytes).LeaderEpoch;
                if (leader != _claimedEpoch)
                {
                    Fail(new LogException(FencedBy(leader, _claimedEpoch)));
                    return false;
                }

                _headETag = head!.ETag;
            }

            Fail(new LogException($"The head of {Partition} could not be written in {_options.StoreAttempts} attempts."));
        }
        catch (Exception error)
        {
            Fail(error);
        }

        return false;
    }

    private async Task<int> ReadLeaderAsync() =>
        await RetryAsync(() => _store.ReadHeadAsync()).ConfigureAwait(false) is { } head ? RowLogHead.Deserialize(head.Bytes).LeaderEpoch : DeletedEpoch;

    /// <summary>False when somebody else wrote it, or when it is not known whether this write took effect.</summary>
    private async Task<bool> WriteHeadAsync(int epoch)
    {
        byte[] bytes;
        lock (_lock)
        {
            bytes = new RowLogHead(
                epoch, _logStart, _next, _generation, _cleanedOffset, [.. _rows], _epochs.Entries.ToArray(), [.. _garbage],
                ProducerSnapshot.Serialize(_producers)).Serialize();
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

        RowLogHead head = RowLogHead.Deserialize(stored.Bytes);
        ProducerStateManager producers = ProducerSnapshot.Deserialize(head.Producers)
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
            if (_generation != head.Generation)
            {
                Volatile.Write(ref _end, head.NextOffset); // Truncated by another leader.
            }

            (_generation, _cleanedOffset) = (head.Generation, head.CleanedOffset);
            MoveEnd(head.NextOffset);
            Volatile.Write(ref _sizeBytes, _rows.Sum(row => (long)row.Size));
        }
    }

    /// <summary>Takes in the rows that stand behind the known end.</summary>
    private async Task ProbeAsync()
    {
        while (true)
        {
            string key = RowInfo.KeyOf(_next, _generation);
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

            Take(row, row.InfoIn(_generation), producers: false);
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
            MoveEnd(row.NextOffset);
        }
    }

    private void MoveEnd(long next)
    {
        Volatile.Write(ref _next, next);
        Volatile.Write(ref _end, Math.Max(_end, next));
    }

    private static IEnumerable<ReadOnlyMemory<byte>> BatchesOf(ReadOnlyMemory<byte> batches)
    {
        while (RecordBatches.TryReadNext(ref batches, RecordBatches.MaxSizeLimit, out ReadOnlyMemory<byte> batch, out _) == BatchReadStatus.Batch)
        {
            yield return batch;
        }
    }
}
