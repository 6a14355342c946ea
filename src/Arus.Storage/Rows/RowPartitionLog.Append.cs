namespace Arus.Storage;

/// <content>Group commit: what is queued becomes one row.</content>
public sealed partial class RowPartitionLog
{
    /// <summary>How many rows of others a commit may find in its way; each is a step forward for somebody.</summary>
    private const int MaxRaces = 1000;

    [ThreadStatic]
    private static BatchValidator? t_validator;

    public ValueTask<LogAppendResult[]> AppendAsync(
        ReadOnlyMemory<byte>[] entries, int leaderEpoch, AppendOrigin origin = AppendOrigin.Client)
    {
        ArgumentNullException.ThrowIfNull(entries);
        if (origin == AppendOrigin.Replica)
        {
            throw new NotSupportedException($"The log of {Partition} is kept in grain storage, in one copy; it has no replicas.");
        }

        var append = new PendingAppend(entries, leaderEpoch, origin);
        BatchValidator validator = t_validator ??= new BatchValidator();
        bool any = false;
        for (int i = 0; i < entries.Length; i++)
        {
            ValidationResult valid = validator.Validate(entries[i], Config, origin, NowMs, out LogRecordError[]? recordErrors);
            append.Results[i] = valid.IsOk ? new LogAppendResult(ErrorCode.None, -1, -1) : LogAppendResult.Refused(valid.Error, valid.Message!, recordErrors);
            any |= valid.IsOk;
        }

        if (!any)
        {
            return new ValueTask<LogAppendResult[]>(append.Results);
        }

        lock (_lock)
        {
            if (Refusal() is { } refused)
            {
                Array.Fill(append.Results, refused);
                return new ValueTask<LogAppendResult[]>(append.Results);
            }

            _appends.Enqueue(append);
            _pendingBytes += BytesOf(append);
        }

        Pump();
        return append.AsValueTask();
    }

    private static long BytesOf(PendingAppend append) => append.Entries.Sum(entry => (long)entry.Length);

    private LogAppendResult? Refusal() =>
        _failure is not null ? LogAppendResult.Refused(ErrorCode.KafkaStorageError, $"The log of {Partition} failed: {_failure.Message}")
        : _closed ? LogAppendResult.Refused(ErrorCode.NotLeaderOrFollower, $"The log of {Partition} is closed.")
        : _pendingBytes >= _options.MaxPendingBytes
            ? LogAppendResult.Refused(ErrorCode.RequestTimedOut, $"{Partition} has {_pendingBytes} bytes waiting for the store; try again later.")
        : null;

    /// <summary>What goes into the next row: of one epoch, and not too much. The caller holds the lock.</summary>
    private List<PendingAppend> TakeAppends()
    {
        var taken = new List<PendingAppend>();
        long bytes = 0;
        while (_appends.TryPeek(out PendingAppend? append)
            && (taken.Count == 0 || (append.LeaderEpoch == taken[0].LeaderEpoch && bytes + BytesOf(append) <= _options.MaxRowBytes)))
        {
            taken.Add(_appends.Dequeue());
            bytes += BytesOf(append);
        }

        return taken;
    }

    private async Task CommitAsync(List<PendingAppend> appends)
    {
        try
        {
            string? fenced = _failure is null ? await TryCommitAsync(appends).ConfigureAwait(false) : null;
            if (fenced is not null)
            {
                Fail(new LogException(fenced));
                appends.ForEach(append => append.Fail(ErrorCode.FencedLeaderEpoch, fenced));
            }
            else if (_failure is { } failure)
            {
                appends.ForEach(append => append.Fail(ErrorCode.KafkaStorageError, $"The log of {Partition} failed: {failure.Message}"));
            }
            else
            {
                appends.ForEach(append => append.Complete());
                _waiters.Advance(HighWatermark);
            }
        }
        catch (Exception error)
        {
            Fail(error);
            appends.ForEach(append => append.Fail(ErrorCode.KafkaStorageError, $"The log of {Partition} failed: {error.Message}"));
        }

        lock (_lock)
        {
            _pendingBytes -= appends.Sum(BytesOf);
        }

        if (_failure is null && _rowsSinceCheckpoint >= _options.RowsPerCheckpoint)
        {
            await TryCheckpointAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Null when all is written or refused; otherwise why this leader is one no more.</summary>
    private async Task<string?> TryCommitAsync(List<PendingAppend> appends)
    {
        int epoch = appends[0].LeaderEpoch;
        if ((epoch > _claimedEpoch || (epoch == _claimedEpoch && !_isLeader)) && await ClaimAsync(epoch).ConfigureAwait(false) is { } claimFenced)
        {
            return claimFenced;
        }

        if (epoch < _claimedEpoch || epoch < LatestEpoch)
        {
            return FencedBy(Math.Max(_claimedEpoch, LatestEpoch), epoch);
        }

        for (int race = 0; race < MaxRaces; race++)
        {
            var builder = new RowBuilder(_producers, Config, _next, epoch, NowMs);
            foreach (PendingAppend append in appends)
            {
                builder.Add(append);
            }

            SegmentRow? row = builder.Build();
            if (row is null)
            {
                // Duplicates and refusals only: no insert tells whether this leader is one still, and by what it judged them.
                int leads = await ReadLeaderAsync().ConfigureAwait(false);
                return leads > epoch ? FencedBy(leads, epoch) : null;
            }

            RowInfo info = row.InfoIn(_generation);
            if (await TryInsertAsync(info.Key, row.Serialize()).ConfigureAwait(false))
            {
                int leader = await ReadLeaderAsync().ConfigureAwait(false);
                if (leader == DeletedEpoch)
                {
                    await DeleteRowAsync(info.Key).ConfigureAwait(false); // Whoever deletes the log may not have seen it.
                }

                if (leader > epoch)
                {
                    return FencedBy(leader, epoch);
                }

                Take(row, info);
                return null;
            }

            long before = _next;
            await ProbeAsync().ConfigureAwait(false);
            if (LatestEpoch > epoch)
            {
                return FencedBy(LatestEpoch, epoch);
            }

            if (_next == before)
            {
                return $"The row at offset {before} of {Partition} exists and cannot be read.";
            }
        }

        throw new LogException($"{Partition} lost {MaxRaces} races in a row.");
    }

    private string FencedBy(int newer, int epoch) =>
        newer == DeletedEpoch
            ? $"The log of {Partition} was deleted."
            : $"Leader epoch {epoch} of {Partition} is over; epoch {newer} leads.";

    /// <summary>False when another row stands there. An error leaves it open whether ours does, so it is read.</summary>
    private async Task<bool> TryInsertAsync(string key, byte[] bytes)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                if (await _store.TryInsertAsync(key, bytes).ConfigureAwait(false))
                {
                    return true;
                }

                // Ours from an attempt whose answer was lost? Epochs are given once, so the same bytes are the same row.
                return await RetryAsync(() => _store.ReadAsync(key)).ConfigureAwait(false) is { } there && there.Span.SequenceEqual(bytes);
            }
            catch (Exception error) when (error is not LogException && attempt < _options.StoreAttempts)
            {
                // Tried again; the insert decides.
            }
        }
    }

    private async Task<T> RetryAsync<T>(Func<ValueTask<T>> action)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return await action().ConfigureAwait(false);
            }
            catch (Exception error) when (error is not LogException && attempt < _options.StoreAttempts)
            {
                // Reads change nothing.
            }
        }
    }
}
