namespace Arus.Storage.Rows;

/// <summary>
/// The rows of one log in the store: steps that are tried again when the store fails, and the rows that were used last in memory.
/// Thread-safe.
/// </summary>
internal sealed class RowStore(TopicPartition partition, ISegmentRowStore store, RowLogOptions options)
{
    private readonly RowCache _cache = new(options.CacheBytes);

    /// <summary>The batches of a row; null when the store does not have it.</summary>
    /// <param name="keep">Whether to keep them in memory.</param>
    public async Task<ReadOnlyMemory<byte>?> TryReadAsync(RowInfo row, bool keep)
    {
        string key = row.Key;
        if (_cache.TryGet(key, out ReadOnlyMemory<byte> cached))
            return cached;

        SegmentRow? read = await FindAsync(key).ConfigureAwait(false);
        if (read is not null && keep)
            _cache.Add(key, read.Batches);

        return read?.Batches;
    }

    /// <summary>The batches of a row that only this log's leader may delete.</summary>
    /// <exception cref="LogException">The row is missing.</exception>
    public async Task<ReadOnlyMemory<byte>> ReadAsync(RowInfo row) =>
        await TryReadAsync(row, keep: false).ConfigureAwait(false)
            ?? throw new LogException($"The row {row.Key} of {partition} is missing from the store.");

    /// <summary>The row of a key; null when there is none.</summary>
    /// <exception cref="LogException">The row is damaged.</exception>
    public async Task<SegmentRow?> FindAsync(string key) =>
        await RetryAsync(() => store.ReadAsync(key)).ConfigureAwait(false) is { } bytes ? SegmentRow.Deserialize(key, bytes) : null;

    /// <summary>Keeps the batches of a new row in memory.</summary>
    public void Keep(string key, ReadOnlyMemory<byte> batches) => _cache.Add(key, batches);

    /// <summary>Inserts a row; false when another one has the key. After an error it is read, since it may have been inserted.</summary>
    public async Task<bool> TryInsertAsync(string key, byte[] bytes)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                if (await store.TryInsertAsync(key, bytes).ConfigureAwait(false))
                    return true;

                // It may be the row of an attempt whose answer was lost. Epochs are given once, so the same bytes are the same row.
                return await RetryAsync(() => store.ReadAsync(key)).ConfigureAwait(false) is { } there && there.Span.SequenceEqual(bytes);
            }
            catch (Exception error) when (error is not LogException && attempt < options.StoreAttempts)
            {
                // Tried again; the insert decides.
            }
        }
    }

    public Task<bool> DeleteAsync(string key) =>
        RetryAsync(async () =>
        {
            await store.DeleteAsync(key).ConfigureAwait(false);
            return true;
        });

    public Task<StoredHead?> ReadHeadAsync() => RetryAsync(store.ReadHeadAsync);

    /// <summary>The new ETag; null when another leader has written the head, or when the effect of this write is unknown.</summary>
    public async Task<string?> TryWriteHeadAsync(byte[] head, string? etag)
    {
        try
        {
            return await store.TryWriteHeadAsync(head, etag).ConfigureAwait(false);
        }
        catch (Exception error) when (error is not LogException)
        {
            return null; // The caller reads what is there now.
        }
    }

    public Task<bool> DeleteHeadAsync() =>
        RetryAsync(async () =>
        {
            await store.DeleteHeadAsync().ConfigureAwait(false);
            return true;
        });

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
