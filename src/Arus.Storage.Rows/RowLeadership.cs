using Arus.Protocol;

namespace Arus.Storage.Rows;

/// <summary>The head of a row log: claims a leader epoch, writes checkpoints, and reads the log. Used inside operations.</summary>
internal sealed class RowLeadership(RowLogContext log, RowStore store, RowList rows, ProducerStateManager producers)
{
    /// <summary>Claimed by the deletion of the log; it is above the epoch of every leader.</summary>
    public const int DeletedEpoch = int.MaxValue;

    /// <summary>A checkpoint is not put off for longer, however many rows the head lists: who takes over reads them one by one.</summary>
    private const int MaxRowsPerCheckpoint = 1024;

    /// <summary>Bytes of rows after which the head is written: who takes over reads them.</summary>
    private const long MaxBytesPerCheckpoint = 16 << 20;

    /// <summary>Of the rows that a head lists, one in so many has to be new before it is written again: so a row costs few heads.</summary>
    private const int ListedPerNewRow = 16;

    private const int ClaimAttempts = 100;

    private string? _headETag;
    private int _rowsSinceCheckpoint;
    private long _bytesSinceCheckpoint;

    /// <summary>What the stored head counts as garbage.</summary>
    private string[] _collectable = [];

    /// <summary>The epoch in the head, as far as this log knows.</summary>
    public int ClaimedEpoch { get; private set; } = RecordBatchHeader.NoLeaderEpoch;

    /// <summary>Whether this log itself has claimed <see cref="ClaimedEpoch"/>.</summary>
    public bool IsLeader { get; private set; }

    public bool NeedsCheckpoint => _rowsSinceCheckpoint > 0;

    public bool IsCheckpointDue =>
        _bytesSinceCheckpoint >= MaxBytesPerCheckpoint
        || _rowsSinceCheckpoint >= Math.Max(log.Options.RowsPerCheckpoint, Math.Min(rows.Count / ListedPerNewRow, MaxRowsPerCheckpoint));

    /// <summary>Reads the head, then the rows behind it.</summary>
    public async Task LoadAsync()
    {
        await LoadHeadAsync().ConfigureAwait(false);
        await RecoverAsync().ConfigureAwait(false);
    }

    /// <summary>Claims an epoch unless this log has it: so older leaders find out, and what they wrote before is read.</summary>
    /// <returns>Why a newer leader has the log; null on success.</returns>
    public async Task<string?> ClaimAsync(int epoch)
    {
        if (IsLeader && epoch == ClaimedEpoch)
            return null;

        for (int attempt = 0; attempt < ClaimAttempts; attempt++)
        {
            await LoadAsync().ConfigureAwait(false);
            int newest = Math.Max(ClaimedEpoch, rows.LatestEpoch);
            if (newest > epoch)
                return log.FencedBy(newest, epoch);

            // Equal: an earlier attempt of this log was written, and its answer was lost.
            if (ClaimedEpoch == epoch || await TryWriteHeadAsync(epoch).ConfigureAwait(false))
            {
                ClaimedEpoch = epoch;
                if (await FenceAsync(epoch).ConfigureAwait(false) is { } newer)
                    return newer;

                await RecoverAsync().ConfigureAwait(false);
                IsLeader = true;
                return null;
            }
        }

        return $"The head of {log.Partition} was written by others {ClaimAttempts} times in a row.";
    }

    /// <summary>Who leads by the fence that is stored now.</summary>
    public async Task<int> ReadLeaderAsync() => LeaderOf(await store.ReadHeadAsync(LogHead.Fence).ConfigureAwait(false));

    /// <summary>Brings the stored head up to date; when another leader has claimed it or the store fails, this log fails.</summary>
    public async Task<bool> TryCheckpointAsync()
    {
        try
        {
            for (int attempt = 0; IsLeader && attempt < log.Options.StoreAttempts; attempt++)
            {
                if (await TryWriteHeadAsync(ClaimedEpoch).ConfigureAwait(false))
                    return true;

                // An epoch has one leader: a head of this epoch is a write of this log whose answer was lost.
                StoredHead? head = await store.ReadHeadAsync(LogHead.Rows).ConfigureAwait(false);
                if (LeaderOf(head) is var leader && leader != ClaimedEpoch)
                {
                    log.Fail(new LogException(log.FencedBy(leader, ClaimedEpoch)));
                    await RemoveMadeAsync(rows.Made, ClaimedEpoch).ConfigureAwait(false);
                    return false;
                }

                _headETag = head!.ETag;
            }

            log.Fail(new LogException($"The head of {log.Partition} could not be written in {log.Options.StoreAttempts} attempts."));
        }
        catch (Exception error)
        {
            log.Fail(error);
        }

        return false;
    }

    /// <summary>Writes the head, then deletes the rows that it does not need. What a crash leaves is still listed as garbage.</summary>
    public async Task<bool> TryCheckpointAndCollectAsync()
    {
        bool written = await TryCheckpointAsync().ConfigureAwait(false);
        if (written)
            await CollectGarbageAsync().ConfigureAwait(false);

        return written;
    }

    /// <summary>Deletes the rows that the stored head counts as garbage. Also beside operations.</summary>
    public async Task CollectGarbageAsync()
    {
        string[] keys = Interlocked.Exchange(ref _collectable, []);
        await store.DeleteAsync(keys).ConfigureAwait(false);
        rows.RemoveGarbage(keys);
    }

    /// <summary>
    /// Deletes rows that the leader of an epoch made from others, if there is a newer leader and its head does not list them: it may have
    /// deleted them before they were there.
    /// </summary>
    public async Task RemoveMadeAsync(IReadOnlyList<string> made, int epoch)
    {
        StoredHead? stored = await store.ReadHeadAsync(LogHead.Rows).ConfigureAwait(false);
        if (stored is not null && LeaderOf(stored) <= epoch)
            return;

        HashSet<string> listed = stored is null ? [] : ListedIn(HeadRow.Deserialize(stored.Bytes));
        await store.DeleteAsync([.. made.Where(key => !listed.Contains(key))]).ConfigureAwait(false);
    }

    /// <summary>
    /// Deletes a row that this log inserted after a newer leader had claimed the log, if that never looks at its place again: the log is
    /// deleted, or the row lies before the end that the head knows, or in a generation that is over, and the head does not list it.
    /// </summary>
    public async Task RemoveLateAsync(RowInfo late)
    {
        StoredHead? stored = await store.ReadHeadAsync(LogHead.Rows).ConfigureAwait(false);
        RowLogHead? head = LeaderOf(stored) == DeletedEpoch ? null : HeadRow.Deserialize(stored!.Bytes);
        bool isBehind = head is null || head.Generation != late.Number || head.NextOffset > late.BaseOffset;
        if (isBehind && (head is null || !ListedIn(head).Contains(late.Key)))
            await store.DeleteAsync(late.Key).ConfigureAwait(false);
    }

    /// <summary>Reads the rows that stand behind the known end.</summary>
    public async Task RecoverAsync()
    {
        while (await store.FindAsync(RowInfo.KeyOf(rows.NextOffset, rows.Generation)).ConfigureAwait(false) is { } row)
        {
            Add(row);
            rows.Publish(row.NextOffset);
        }
    }

    /// <summary>Adds a row that stands at the log's end. Readers do not see it yet.</summary>
    public void Add(SegmentRow row)
    {
        foreach (ReadOnlyMemory<byte> batch in BatchSlicing.Split(row.Batches))
            rows.Apply(producers.AddStored(batch.Span, log.NowMs), new RecordBatchHeader(batch.Span).LastOffset);

        RowInfo info = row.InfoIn(rows.Generation);
        store.Keep(info.Key, row.Batches);
        rows.Add(info, row.LeaderEpoch);
        _rowsSinceCheckpoint++;
        _bytesSinceCheckpoint += info.Size;
    }

    /// <summary>Whether nothing of the log is stored: it is new, or was deleted.</summary>
    public async Task<bool> IsAbsentAsync() =>
        rows.NextOffset == 0 && await store.ReadHeadAsync(LogHead.Rows).ConfigureAwait(false) is null
        && await store.ReadHeadAsync(LogHead.Fence).ConfigureAwait(false) is null;

    /// <summary>Deletes both heads; the rows are gone by then.</summary>
    public async Task<bool> DeleteHeadsAsync() =>
        await store.DeleteHeadAsync(LogHead.Rows).ConfigureAwait(false)
        && await store.DeleteHeadAsync(LogHead.Fence).ConfigureAwait(false);

    private static HashSet<string> ListedIn(RowLogHead head) =>
        head.Rows.Select(row => RowList.InfoOf(row).Key).ToHashSet(StringComparer.Ordinal);

    private static int LeaderOf(StoredHead? head) => head is null ? DeletedEpoch : HeadRow.Deserialize(head.Bytes).LeaderEpoch;

    /// <summary>
    /// Raises the fence, after the head and before the rows are read: what an older leader acknowledges from now on it had inserted before.
    /// </summary>
    /// <returns>Why a newer leader has the log; null on success.</returns>
    private async Task<string?> FenceAsync(int epoch)
    {
        byte[] fence = HeadRow.Serialize(new RowLogHead { LeaderEpoch = epoch });
        for (int attempt = 0; attempt < ClaimAttempts; attempt++)
        {
            StoredHead? stored = await store.ReadHeadAsync(LogHead.Fence).ConfigureAwait(false);
            int leader = stored is null ? RecordBatchHeader.NoLeaderEpoch : LeaderOf(stored);
            if (leader >= epoch)
                return leader > epoch ? log.FencedBy(leader, epoch) : null;

            if (await store.TryWriteHeadAsync(LogHead.Fence, fence, stored?.ETag).ConfigureAwait(false) is not null)
                return null;
        }

        return $"The fence of {log.Partition} could not be written in {ClaimAttempts} attempts.";
    }

    private async Task<bool> TryWriteHeadAsync(int epoch)
    {
        string[] garbage = [.. rows.Garbage];
        string? etag = await store.TryWriteHeadAsync(LogHead.Rows, HeadRow.Serialize(rows.ToHead(epoch, producers)), _headETag)
            .ConfigureAwait(false);
        if (etag is null)
            return false;

        _headETag = etag;
        (_rowsSinceCheckpoint, _bytesSinceCheckpoint) = (0, 0);
        Volatile.Write(ref _collectable, garbage);
        rows.Stored();
        return true;
    }

    private async Task LoadHeadAsync()
    {
        StoredHead? stored = await store.ReadHeadAsync(LogHead.Rows).ConfigureAwait(false);
        _headETag = stored?.ETag;
        if (stored is null)
            return;

        RowLogHead head = HeadRow.Deserialize(stored.Bytes);
        producers.ReplaceWith(ProducerSnapshot.Deserialize(head.Producers, head.ProducersVersion)
            ?? throw new LogException($"The head of {log.Partition} is damaged: its producers cannot be read."));
        ClaimedEpoch = head.LeaderEpoch;
        rows.Load(head, producers);
        (_rowsSinceCheckpoint, _bytesSinceCheckpoint) = (0, 0);
    }
}
