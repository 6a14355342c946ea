using Arus.Protocol;

namespace Arus.Storage.Rows;

/// <summary>The head of a row log: claims a leader epoch, writes checkpoints, and reads the log. Used inside operations.</summary>
internal sealed class RowLeadership(RowLogContext log, RowStore store, RowList rows, ProducerStateManager producers)
{
    /// <summary>Claimed by the deletion of the log; it is above the epoch of every leader.</summary>
    public const int DeletedEpoch = int.MaxValue;

    private string? _headETag;
    private int _rowsSinceCheckpoint;

    /// <summary>The epoch in the head, as far as this log knows.</summary>
    public int ClaimedEpoch { get; private set; } = RecordBatchHeader.NoLeaderEpoch;

    /// <summary>Whether this log itself has claimed <see cref="ClaimedEpoch"/>.</summary>
    public bool IsLeader { get; private set; }

    public bool NeedsCheckpoint => _rowsSinceCheckpoint > 0;

    public bool IsCheckpointDue => _rowsSinceCheckpoint >= log.Options.RowsPerCheckpoint;

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

        const int Attempts = 100;
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            await LoadAsync().ConfigureAwait(false);
            int newest = Math.Max(ClaimedEpoch, rows.LatestEpoch);
            if (newest > epoch)
                return log.FencedBy(newest, epoch);

            // Equal: an earlier attempt of this log was written, and its answer was lost.
            if (ClaimedEpoch == epoch || await TryWriteHeadAsync(epoch).ConfigureAwait(false))
            {
                ClaimedEpoch = epoch;
                await RecoverAsync().ConfigureAwait(false);
                IsLeader = true;
                return null;
            }
        }

        return $"The head of {log.Partition} was written by others {Attempts} times in a row.";
    }

    /// <summary>Who leads by the head that is stored now.</summary>
    public async Task<int> ReadLeaderAsync() => LeaderOf(await store.ReadHeadAsync().ConfigureAwait(false));

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
                StoredHead? head = await store.ReadHeadAsync().ConfigureAwait(false);
                if (LeaderOf(head) is var leader && leader != ClaimedEpoch)
                {
                    log.Fail(new LogException(log.FencedBy(leader, ClaimedEpoch)));
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

    /// <summary>Deletes the rows that the stored head does not need.</summary>
    public async Task CollectGarbageAsync()
    {
        foreach (string key in rows.Garbage)
            await store.DeleteAsync(key).ConfigureAwait(false);

        rows.ClearGarbage();
    }

    /// <summary>Reads the rows that stand behind the known end.</summary>
    public async Task RecoverAsync()
    {
        while (await store.FindAsync(RowInfo.KeyOf(rows.NextOffset, rows.Generation)).ConfigureAwait(false) is { } row)
            Add(row);
    }

    /// <summary>Adds a row that stands at the log's end.</summary>
    public void Add(SegmentRow row)
    {
        foreach (ReadOnlyMemory<byte> batch in BatchSlicing.Split(row.Batches))
            producers.AddStored(new RecordBatchHeader(batch.Span), log.NowMs);

        RowInfo info = row.InfoIn(rows.Generation);
        store.Keep(info.Key, row.Batches);
        rows.Add(info, row.LeaderEpoch);
        _rowsSinceCheckpoint++;
    }

    private static int LeaderOf(StoredHead? head) => head is null ? DeletedEpoch : HeadRow.Deserialize(head.Bytes).LeaderEpoch;

    private async Task<bool> TryWriteHeadAsync(int epoch)
    {
        string? etag = await store.TryWriteHeadAsync(HeadRow.Serialize(rows.ToHead(epoch, producers)), _headETag).ConfigureAwait(false);
        if (etag is null)
            return false;

        _headETag = etag;
        _rowsSinceCheckpoint = 0;
        return true;
    }

    private async Task LoadHeadAsync()
    {
        StoredHead? stored = await store.ReadHeadAsync().ConfigureAwait(false);
        _headETag = stored?.ETag;
        if (stored is null)
            return;

        RowLogHead head = HeadRow.Deserialize(stored.Bytes);
        producers.ReplaceWith(ProducerSnapshot.Deserialize(head.Producers)
            ?? throw new LogException($"The head of {log.Partition} is damaged: its producers cannot be read."));
        ClaimedEpoch = head.LeaderEpoch;
        rows.Load(head);
        _rowsSinceCheckpoint = 0;
    }
}
