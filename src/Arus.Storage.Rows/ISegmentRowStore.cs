namespace Arus.Storage.Rows;

/// <summary>
/// Where a <see cref="RowPartitionLog"/> keeps one partition: rows that are written once, and two heads that are replaced. Thread-safe.
/// Any error may leave it unknown whether a write took effect; the log finds out by reading.
/// </summary>
public interface ISegmentRowStore
{
    /// <summary>Writes a row unless there is one of that key; false then. The one step on which the order of the log rests.</summary>
    ValueTask<bool> TryInsertAsync(string key, ReadOnlyMemory<byte> row);

    /// <summary>Null when there is no such row.</summary>
    ValueTask<ReadOnlyMemory<byte>?> ReadAsync(string key);

    /// <summary>No error when there is no such row.</summary>
    ValueTask DeleteAsync(string key);

    /// <summary>Null when there is none yet.</summary>
    ValueTask<StoredHead?> ReadHeadAsync(LogHead head);

    /// <summary>Replaces a head if it is still the one of <paramref name="etag"/> (null: if there is none).</summary>
    /// <returns>The new ETag; null when another writer has changed it.</returns>
    ValueTask<string?> TryWriteHeadAsync(LogHead head, ReadOnlyMemory<byte> bytes, string? etag);

    ValueTask DeleteHeadAsync(LogHead head);
}

/// <summary>What of a log in rows is replaced when it changes.</summary>
public enum LogHead
{
    /// <summary>The leader epoch and the rows that make up the log: some 30 bytes a row.</summary>
    Rows = 0,

    /// <summary>The leader epoch alone: a leader looks at it after every insert, when it must not matter how many rows there are.</summary>
    Fence = 1,
}

public sealed record StoredHead(ReadOnlyMemory<byte> Bytes, string ETag);

/// <summary>Limits of a <see cref="RowPartitionLog"/>.</summary>
public sealed record RowLogOptions
{
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Bytes of batches in the row of one group commit, unless one entry is larger.</summary>
    public int MaxRowBytes { get; init; } = 1 << 20;

    /// <summary>
    /// Rows are merged up to this many bytes; with more than <see cref="CacheBytes"/> a reader fetched a row for each piece of it.
    /// </summary>
    public int MergedRowBytes { get; init; } = 2 << 20;

    /// <summary>So many neighbouring small rows are merged.</summary>
    public int MergeRows { get; init; } = 16;

    /// <summary>
    /// The head is written again after so many rows at least, and later where it lists many; recovery reads at most about as many.
    /// </summary>
    public int RowsPerCheckpoint { get; init; } = 64;

    /// <summary>Bytes of recent rows that the log keeps in memory.</summary>
    public int CacheBytes { get; init; } = 2 << 20;

    /// <summary>Bytes of appends that may wait to be written; more are refused.</summary>
    public int MaxPendingBytes { get; init; } = 32 << 20;

    /// <summary>How often a step is tried again when the store fails, before the log does.</summary>
    public int StoreAttempts { get; init; } = 4;

    /// <summary>See <see cref="LogProviderOptions.CompactionMapBytes"/>.</summary>
    public int CompactionMapBytes { get; init; } = 32 << 20;

    /// <summary>For simulations: continuations run where the store answers, not on the pool, so that a seed replays everything.</summary>
    internal bool ContinuesInline { get; init; }
}
