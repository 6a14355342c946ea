namespace Arus.Storage.Rows;

/// <summary>
/// Group commit: the appends that are queued become one row, inserted at the log's end. The insert is the compare-and-swap of the log:
/// of two leaders that write at once, one loses it. Thread-safe.
/// </summary>
internal sealed class RowAppender(
    RowLogContext log, RowStore store, RowList rows, RowLeadership leadership, ProducerStateManager producers, RowOperations operations)
{
    /// <summary>How many rows of others a commit may find in its way; each of them is progress of another leader.</summary>
    private const int MaxRaces = 1000;

    private readonly LogLock _lock = new(LockRank.Leaf);
    private readonly Queue<PendingAppend> _queue = new();
    private long _pendingBytes;
    private bool _commitQueued;

    public ValueTask<LogAppendResult[]> AppendAsync(ReadOnlyMemory<byte>[] entries, int leaderEpoch, AppendOrigin origin)
    {
        if (origin == AppendOrigin.Replica)
            throw new NotSupportedException($"The log of {log.Partition} is kept in grain storage, in one copy; it has no replicas.");

        var append = new PendingAppend(entries, leaderEpoch, origin, log.Options.ContinuesInline);
        if (!append.Validate(log.Config, log.NowMs))
            return new ValueTask<LogAppendResult[]>(append.Results);

        bool queuesCommit;
        using (_lock.Enter())
        {
            if (Refusal() is { } refusal)
                return append.RefuseAll(refusal);

            _queue.Enqueue(append);
            _pendingBytes += append.Bytes;
            queuesCommit = !_commitQueued;
            _commitQueued = true;
        }

        if (queuesCommit)
            operations.RunCommit(CommitQueuedAsync);

        return new ValueTask<LogAppendResult[]>(append.Task);
    }

    private LogAppendResult? Refusal() =>
        log.Refusal is { } refusal ? refusal
        : _pendingBytes >= log.Options.MaxPendingBytes
            ? LogAppendResult.Refused(
                ErrorCode.RequestTimedOut, $"{log.Partition} has {_pendingBytes} bytes waiting for the store; try again later.")
        : null;

    /// <summary>One group commit. What is too much for it is left to the next one.</summary>
    private async Task CommitQueuedAsync()
    {
        List<PendingAppend> appends = TakeGroup(out long bytes);
        try
        {
            string? fenced = log.Failure is null ? await TryCommitAsync(appends).ConfigureAwait(false) : null;
            if (fenced is not null)
            {
                log.Fail(new LogException(fenced));
                appends.ForEach(append => append.Fail(ErrorCode.FencedLeaderEpoch, fenced));
            }
            else if (log.Failure is { } failure)
            {
                appends.ForEach(append => append.Fail(ErrorCode.KafkaStorageError, log.DescribeFailure(failure)));
            }
            else
            {
                appends.ForEach(append => append.Complete());
                log.Waiters.Advance(rows.EndOffset);
            }
        }
        catch (Exception error)
        {
            log.Fail(error);
            appends.ForEach(append => append.Fail(ErrorCode.KafkaStorageError, log.DescribeFailure(error)));
        }

        bool more;
        using (_lock.Enter())
        {
            _pendingBytes -= bytes;
            more = _commitQueued = _queue.Count > 0;
        }

        if (more)
            operations.RunCommit(CommitQueuedAsync);

        if (log.Failure is null && leadership.IsCheckpointDue)
            await leadership.TryCheckpointAsync().ConfigureAwait(false);
    }

    /// <summary>What goes into the next row: appends of one epoch, and not too many bytes.</summary>
    private List<PendingAppend> TakeGroup(out long bytes)
    {
        var group = new List<PendingAppend>();
        bytes = 0;
        using (_lock.Enter())
        {
            while (_queue.TryPeek(out PendingAppend? append)
                && (group.Count == 0
                    || (append.LeaderEpoch == group[0].LeaderEpoch && bytes + append.Bytes <= log.Options.MaxRowBytes)))
            {
                group.Add(_queue.Dequeue());
                bytes += append.Bytes;
            }
        }

        return group;
    }

    /// <summary>Null when all is written or refused; otherwise why this leader has been deposed.</summary>
    private async Task<string?> TryCommitAsync(List<PendingAppend> appends)
    {
        int epoch = appends[0].LeaderEpoch;
        int newest = Math.Max(leadership.ClaimedEpoch, rows.LatestEpoch);
        if (epoch < newest)
            return log.FencedBy(newest, epoch);

        if (await leadership.ClaimAsync(epoch).ConfigureAwait(false) is { } fenced)
            return fenced;

        for (int race = 0; race < MaxRaces; race++)
        {
            var builder = new RowBuilder(producers, log.Config, rows.NextOffset, epoch, log.NowMs);
            appends.ForEach(builder.Add);
            if (builder.Build() is not { } row)
            {
                // Duplicates and refusals only: no insert tells whether this leader still leads, and by what it judged them.
                int leader = await leadership.ReadLeaderAsync().ConfigureAwait(false);
                return leader > epoch ? log.FencedBy(leader, epoch) : null;
            }

            string key = row.InfoIn(rows.Generation).Key;
            if (await store.TryInsertAsync(key, row.Serialize()).ConfigureAwait(false))
                return await AcknowledgeAsync(row).ConfigureAwait(false);

            long before = rows.NextOffset;
            await leadership.RecoverAsync().ConfigureAwait(false);
            if (rows.LatestEpoch > epoch || rows.NextOffset == before)
            {
                return rows.LatestEpoch > epoch
                    ? log.FencedBy(rows.LatestEpoch, epoch)
                    : $"The row at offset {before} of {log.Partition} exists and cannot be read.";
            }
        }

        throw new LogException($"{log.Partition} lost {MaxRaces} races in a row.");
    }

    /// <summary>Looks at the fence after the insert: a row counts only if no newer leader had claimed the log before.</summary>
    private async Task<string?> AcknowledgeAsync(SegmentRow row)
    {
        int leader = await leadership.ReadLeaderAsync().ConfigureAwait(false);
        if (leader > row.LeaderEpoch)
        {
            await leadership.RemoveLateAsync(row.InfoIn(rows.Generation)).ConfigureAwait(false);
            return log.FencedBy(leader, row.LeaderEpoch);
        }

        leadership.Add(row);
        return null;
    }
}
