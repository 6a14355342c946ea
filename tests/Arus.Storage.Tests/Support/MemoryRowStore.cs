using Arus.Storage.Rows;

namespace Arus.Storage.Tests;

/// <summary>A row store in memory, which answers at once unless its calls are held up.</summary>
internal sealed class MemoryRowStore : ISegmentRowStore
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, ReadOnlyMemory<byte>> _rows = new(StringComparer.Ordinal);
    private StoredHead? _head;
    private int _headVersion;
    private Task _ready = Task.CompletedTask;

    public int Inserts { get; private set; }

    public IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Rows => _rows;

    /// <summary>A copy in which a row holds something else.</summary>
    public MemoryRowStore With(string key, ReadOnlyMemory<byte> row)
    {
        MemoryRowStore copy = WithHead(_head!.Bytes);
        copy._rows[key] = row;
        return copy;
    }

    /// <summary>A copy in which the head holds something else.</summary>
    public MemoryRowStore WithHead(ReadOnlyMemory<byte> head)
    {
        var copy = new MemoryRowStore { _head = _head! with { Bytes = head }, _headVersion = _headVersion };
        foreach ((string key, ReadOnlyMemory<byte> row) in _rows)
            copy._rows.Add(key, row);

        return copy;
    }

    public IDisposable HoldCalls()
    {
        var hold = new Hold();
        _ready = hold.Task;
        return hold;
    }

    public ValueTask<bool> TryInsertAsync(string key, ReadOnlyMemory<byte> row) =>
        CallAsync(() =>
        {
            Inserts++;
            return _rows.TryAdd(key, row.ToArray());
        });

    public ValueTask<ReadOnlyMemory<byte>?> ReadAsync(string key) =>
        CallAsync(() => _rows.TryGetValue(key, out ReadOnlyMemory<byte> row) ? row : (ReadOnlyMemory<byte>?)null);

    public async ValueTask DeleteAsync(string key) => await CallAsync(() => _rows.Remove(key));

    public ValueTask<StoredHead?> ReadHeadAsync() => CallAsync(() => _head);

    public ValueTask<string?> TryWriteHeadAsync(ReadOnlyMemory<byte> head, string? etag) =>
        CallAsync(() =>
        {
            if (etag != _head?.ETag)
                return null;

            _head = new StoredHead(head.ToArray(), $"{++_headVersion}");
            return _head.ETag;
        });

    public async ValueTask DeleteHeadAsync() => await CallAsync(() => _head = null);

    private async ValueTask<T> CallAsync<T>(Func<T> call)
    {
        await _ready.ConfigureAwait(false);
        lock (_lock)
            return call();
    }

    private sealed class Hold : IDisposable
    {
        private readonly TaskCompletionSource _source = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Task => _source.Task;

        public void Dispose() => _source.SetResult();
    }
}
