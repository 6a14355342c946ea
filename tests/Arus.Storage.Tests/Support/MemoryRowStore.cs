using Arus.Storage.Rows;

namespace Arus.Storage.Tests;

/// <summary>A row store in memory, which answers at once.</summary>
internal sealed class MemoryRowStore : ISegmentRowStore
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, ReadOnlyMemory<byte>> _rows = new(StringComparer.Ordinal);
    private readonly Dictionary<LogHead, StoredHead> _heads = [];
    private int _headVersion;

    public IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Rows => _rows;

    /// <summary>A copy in which a row holds something else.</summary>
    public MemoryRowStore With(string key, ReadOnlyMemory<byte> row)
    {
        MemoryRowStore copy = WithHead(_heads[LogHead.Rows].Bytes);
        copy._rows[key] = row;
        return copy;
    }

    /// <summary>A copy in which the head holds something else.</summary>
    public MemoryRowStore WithHead(ReadOnlyMemory<byte> bytes)
    {
        var copy = new MemoryRowStore { _headVersion = _headVersion };
        foreach ((LogHead head, StoredHead stored) in _heads)
            copy._heads.Add(head, head == LogHead.Rows ? stored with { Bytes = bytes } : stored);

        foreach ((string key, ReadOnlyMemory<byte> row) in _rows)
            copy._rows.Add(key, row);

        return copy;
    }

    public ValueTask<bool> TryInsertAsync(string key, ReadOnlyMemory<byte> row) => Call(() => _rows.TryAdd(key, row.ToArray()));

    public ValueTask<ReadOnlyMemory<byte>?> ReadAsync(string key) =>
        Call(() => _rows.TryGetValue(key, out ReadOnlyMemory<byte> row) ? row : (ReadOnlyMemory<byte>?)null);

    public async ValueTask DeleteAsync(string key) => await Call(() => _rows.Remove(key));

    public ValueTask<StoredHead?> ReadHeadAsync(LogHead head) => Call(() => _heads.GetValueOrDefault(head));

    public ValueTask<string?> TryWriteHeadAsync(LogHead head, ReadOnlyMemory<byte> bytes, string? etag) =>
        Call(() =>
        {
            if (etag != _heads.GetValueOrDefault(head)?.ETag)
                return null;

            string next = $"{++_headVersion}";
            _heads[head] = new StoredHead(bytes.ToArray(), next);
            return next;
        });

    public async ValueTask DeleteHeadAsync(LogHead head) => await Call(() => _heads.Remove(head));

    private ValueTask<T> Call<T>(Func<T> call)
    {
        lock (_lock)
            return ValueTask.FromResult(call());
    }
}
