namespace Arus.Storage.Rows;

/// <summary>
/// Group commit: the appends that are queued become one row, inserted at the log's end. The insert is the compare-and-swap of the log:
/// of two leaders that write at once, one loses it. What makes a row count is a look at the fence after its insert; meanwhile the next
/// row is inserted, so that a group commit takes as long as its insert. Thread-safe.
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

    public ValueTask<LogAppendResult[]> AppendAsync(PendingAppend append)
    {
        if (append.Origin == AppendOrigin.Replica)
            throw new NotSupportedException($"The log of {log.Partition} is kept in grain storage, in one copy; it has no replicas.");

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

    /// <summary>Commits what is queued, until nothing is or an operation waits; then every row that was inserted is settled, too.</summary>
    private async Task CommitQueuedAsync()
    {
        Group? inserted = null;
        do
        {
            Group next = TakeGroup();
            if (inserted is not null && inserted.Epoch != next.Epoch)
            {
                // A claim reads the log again, and must find that nothing is open.
                await SettleAsync(inserted).ConfigureAwait(false);
                inserted = null;
            }

            Task settling = inserted is null ? Task.CompletedTask : SettleAsync(inserted);
            bool isInserted = await TryInsertAsync(next).ConfigureAwait(false);
            await settling.ConfigureAwait(false);
            inserted = isInserted ? next : null;
        }
        while (log.Failure is null && !leadership.IsCheckpointDue && !operations.AnyWaits && AnyQueued());

        if (inserted is not null)
            await SettleAsync(inserted).ConfigureAwait(false);

        bool more;
        using (_lock.Enter())
            more = _commitQueued = _queue.Count > 0;

        if (more)
            operations.RunCommit(CommitQueuedAsync);

        if (log.Failure is null && leadership.IsCheckpointDue)
            await leadership.TryCheckpointAsync().ConfigureAwait(false);
    }

    private bool AnyQueued()
    {
        using (_lock.Enter())
            return _queue.Count > 0;
    }

    /// <summary>What goes into the next row: appends of one epoch, and not too many bytes.</summary>
    private Group TakeGroup()
    {
        var appends = new List<PendingAppend>();
        long bytes = 0;
        using (_lock.Enter())
        {
            while (_queue.TryPeek(out PendingAppend? append)
                && (appends.Count == 0
                    || (append.LeaderEpoch == appends[0].LeaderEpoch && bytes + append.Bytes <= log.Options.MaxRowBytes)))
            {
                appends.Add(_queue.Dequeue());
                bytes += append.Bytes;
            }
        }

        return new Group(appends, bytes);
    }

    /// <summary>Inserts a group's row at the log's end. False if that failed, and the group with it.</summary>
    private async Task<bool> TryInsertAsync(Group group)
    {
        try
        {
            if (log.Failure is null && await InsertAsync(group).ConfigureAwait(false) is { } fenced)
                Fail(group, ErrorCode.FencedLeaderEpoch, fenced, new LogException(fenced));
            else if (log.Failure is { } failure && group.Row is null)
                Fail(group, ErrorCode.KafkaStorageError, log.DescribeFailure(failure), failure);
            else
                return true;
        }
        catch (Exception error)
        {
            Fail(group, ErrorCode.KafkaStorageError, log.DescribeFailure(error), error);
        }

        return false;
    }

    /// <summary>Null when the row is inserted or none is needed; otherwise why this leader has been deposed.</summary>
    private async Task<string?> InsertAsync(Group group)
    {
        int epoch = group.Epoch;
        int newest = Math.Max(leadership.ClaimedEpoch, rows.LatestEpoch);
        if (epoch < newest)
            return log.FencedBy(newest, epoch);

        if (await leadership.ClaimAsync(epoch).ConfigureAwait(false) is { } fenced)
            return fenced;

        for (int race = 0; race < MaxRaces; race++)
        {
            var builder = new RowBuilder(producers, log.Config, rows.NextOffset, epoch, log.NowMs);
            group.Appends.ForEach(builder.Add);
            if (builder.Build() is not { } row)
                return null;

            string key = row.InfoIn(rows.Generation).Key;
            if (await store.TryInsertAsync(key, row.Serialize()).ConfigureAwait(false))
            {
                leadership.Add(row);
                group.Row = row;
                return null;
            }

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

    /// <summary>
    /// Looks at the fence after the insert, and acknowledges: a row counts only if no newer leader had claimed the log before. Of a group
    /// without a row, which is duplicates and refusals only, it tells whether this leader still led when it judged them.
    /// </summary>
    private async Task SettleAsync(Group group)
    {
        try
        {
            int leader = await leadership.ReadLeaderAsync().ConfigureAwait(false);
            if (leader > group.Epoch)
            {
                if (group.Row is { } late)
                    await leadership.RemoveLateAsync(late.InfoIn(rows.Generation)).ConfigureAwait(false);

                string fenced = log.FencedBy(leader, group.Epoch);
                Fail(group, ErrorCode.FencedLeaderEpoch, fenced, new LogException(fenced));
            }
            else if (log.Failure is { } failure)
            {
                Fail(group, ErrorCode.KafkaStorageError, log.DescribeFailure(failure), failure);
            }
            else
            {
                if (group.Row is { } row)
                    rows.Publish(row.NextOffset);

                Forget(group);
                group.Appends.ForEach(append => append.Complete());
                log.AdvanceWaiters(rows.EndOffset, rows.LastStableOffset);
            }
        }
        catch (Exception error)
        {
            Fail(group, ErrorCode.KafkaStorageError, log.DescribeFailure(error), error);
        }
    }

    private void Fail(Group group, ErrorCode code, string message, Exception error)
    {
        log.Fail(error);
        Forget(group);
        group.Appends.ForEach(append => append.Fail(code, message));
    }

    private void Forget(Group group)
    {
        using (_lock.Enter())
            _pendingBytes -= group.Bytes;
    }

    /// <summary>Appends that become a row together.</summary>
    private sealed class Group(List<PendingAppend> appends, long bytes)
    {
        public List<PendingAppend> Appends => appends;

        public long Bytes => bytes;

        public int Epoch => appends[0].LeaderEpoch;

        /// <summary>Once it is inserted; null before, and where no batch is to be written.</summary>
        public SegmentRow? Row { get; set; }
    }
}
