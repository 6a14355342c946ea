namespace Arus.Storage.Rows;

/// <summary>
/// The rows of one log in the store, with steps that are tried again when it fails, and the rows used last in memory. Thread-safe.
/// </summary>
internal sealed class RowStore(TopicPartition partition, ISegmentRowStore store, RowLogOptions options)
{
    /// <summary>Each is a round trip and a commit, and who commits at once shares the disk's work.</summary>
    private const int DeletionsAtOnce = 8;

    private readonly RowCache _cache = new(options.CacheBytes);

    /// <summary>The batches of a row.</summary>
    /// <param name="keep">Whether to keep them in memory.</param>
    /// <exception cref="RowMissingException">The store does not have the row.</exception>
    public async Task<ReadOnlyMemory<byte>> ReadAsync(RowInfo row, bool keep = false)
    {
        string key = row.Key;
        if (_cache.TryGet(key, out ReadOnlyMemory<byte> cached))
            return cached;

        SegmentRow read = await FindAsync(key).ConfigureAwait(false)
            ?? throw new RowMissingException($"The row {key} of {partition} is missing from the store.");
        if (keep)
            _cache.Add(key, read.Batches);

        return read.Batches;
    }

    /// <summary>The row of a key; null when there is none.</summary>
    /// <exception cref="LogException">The row is damaged.</exception>
    public async Task<SegmentRow?> FindAsync(string key) =>
        await RetryAsync(() => store.ReadAsync(key)).ConfigureAwait(false) is { } bytes ? SegmentRow.Deserialize(key, bytes) : null;

    /// <summary>Keeps the batches of a new row in memory.</summary>
    public void Keep(string key, ReadOnlyMemory<byte> batches) => _cache.Add(key, batches);

    /// <summary>Inserts a row; false when another one has the key. After an error it is read, since it may have been inserted.</summary>
    public Task<bool> TryInsertAsync(string key, byte[] bytes) =>
        RetryAsync(async () =>
        {
            if (await store.TryInsertAsync(key, bytes).ConfigureAwait(false))
                return true;

            // It may be the row of an attempt whose answer was lost. Epochs are given once, so the same bytes are the same row.
            return await RetryAsync(() => store.ReadAsync(key)).ConfigureAwait(false) is { } there && there.Span.SequenceEqual(bytes);
        });

    public Task<bool> DeleteAsync(string key) => RetryAsync(() => TrueAfterAsync(store.DeleteAsync(key)));

    public async Task DeleteAsync(IReadOnlyList<string> keys)
    {
        foreach (string[] some in keys.Chunk(DeletionsAtOnce))
            await Task.WhenAll(some.Select(DeleteAsync)).ConfigureAwait(false);
    }

    public Task<StoredHead?> ReadHeadAsync(LogHead head) => RetryAsync(() => store.ReadHeadAsync(head));

    /// <summary>The new ETag; null when another leader has written the head, or when the effect of this write is unknown.</summary>
    public async Task<string?> TryWriteHeadAsync(LogHead head, byte[] bytes, string? etag)
    {
        try
        {
            return await store.TryWriteHeadAsync(head, bytes, etag).ConfigureAwait(false);
        }
        catch (Exception error) when (error is not LogException)
        {
            return null; // The caller reads what is there now.
        }
    }

    public Task<bool> DeleteHeadAsync(LogHead head) => RetryAsync(() => TrueAfterAsync(store.DeleteHeadAsync(head)));

    private static async ValueTask<bool> TrueAfterAsync(ValueTask step)
    {
        await step.ConfigureAwait(false);
        return true;
    }

    /// <summary>Repeats a step that has no other effect when it is repeated.</summary>
    private async Task<T> RetryAsync<T>(Func<ValueTask<T>> step)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return await step().ConfigureAwait(false);
            }
            catch (Exception error) when (error is not LogException && attempt < options.StoreAttempts)
            {
                // Tried again.
            }
        }
    }
}

/// <summary>A row is not in the store: it was merged, compacted or deleted since it was looked up.</summary>
internal sealed class RowMissingException(string message) : Exception(message);

/// <summary>The batches of the rows that were used last, the latest at the end, up to a number of bytes. Thread-safe.</summary>
internal sealed class RowCache(int maxBytes)
{
    private const int MaxRows = 64; // They are looked through one after the other.

    private readonly LogLock _lock = new(LockRank.Leaf);
    private readonly List<(string Key, ReadOnlyMemory<byte> Batches)> _recent = [];
    private long _bytes;

    public bool TryGet(string key, out ReadOnlyMemory<byte> batches)
    {
        using (_lock.Enter())
        {
            int index = _recent.FindIndex(row => row.Key == key);
            batches = index < 0 ? default : _recent[index].Batches;
            if (index < 0)
                return false;

            _recent.RemoveAt(index);
            _recent.Add((key, batches));
            return true;
        }
    }

    public void Add(string key, ReadOnlyMemory<byte> batches)
    {
        if (batches.Length > maxBytes)
            return;

        using (_lock.Enter())
        {
            _recent.Add((key, batches));
            _bytes += batches.Length;
            while (_bytes > maxBytes || _recent.Count > MaxRows)
            {
                _bytes -= _recent[0].Batches.Length;
                _recent.RemoveAt(0);
            }
        }
    }
}
