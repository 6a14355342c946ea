using Arus.Storage.Rows;

namespace Arus.Storage.Tests;

/// <summary>Counts the inserts into another row store, and holds its calls up when a test wants it.</summary>
internal sealed class HeldRowStore(ISegmentRowStore store) : ISegmentRowStore
{
    private Task _ready = Task.CompletedTask;
    private Task _fenceReady = Task.CompletedTask;
    private int _inserts;

    public int Inserts => Volatile.Read(ref _inserts);

    public IDisposable HoldCalls()
    {
        var hold = new Hold();
        _ready = hold.Task;
        return hold;
    }

    /// <summary>Holds up only those who look at the fence.</summary>
    public IDisposable HoldLooksAtFence()
    {
        var hold = new Hold();
        _fenceReady = hold.Task;
        return hold;
    }

    public async ValueTask<bool> TryInsertAsync(string key, ReadOnlyMemory<byte> row)
    {
        await _ready.ConfigureAwait(false);
        Interlocked.Increment(ref _inserts);
        return await store.TryInsertAsync(key, row).ConfigureAwait(false);
    }

    public async ValueTask<ReadOnlyMemory<byte>?> ReadAsync(string key)
    {
        await _ready.ConfigureAwait(false);
        return await store.ReadAsync(key).ConfigureAwait(false);
    }

    public async ValueTask DeleteAsync(string key)
    {
        await _ready.ConfigureAwait(false);
        await store.DeleteAsync(key).ConfigureAwait(false);
    }

    public async ValueTask<StoredHead?> ReadHeadAsync(LogHead head)
    {
        await _ready.ConfigureAwait(false);
        if (head == LogHead.Fence)
            await _fenceReady.ConfigureAwait(false);

        return await store.ReadHeadAsync(head).ConfigureAwait(false);
    }

    public async ValueTask<string?> TryWriteHeadAsync(LogHead head, ReadOnlyMemory<byte> bytes, string? etag)
    {
        await _ready.ConfigureAwait(false);
        return await store.TryWriteHeadAsync(head, bytes, etag).ConfigureAwait(false);
    }

    public async ValueTask DeleteHeadAsync(LogHead head)
    {
        await _ready.ConfigureAwait(false);
        await store.DeleteHeadAsync(head).ConfigureAwait(false);
    }

    private sealed class Hold : IDisposable
    {
        private readonly TaskCompletionSource _source = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Task => _source.Task;

        public void Dispose() => _source.SetResult();
    }
}
