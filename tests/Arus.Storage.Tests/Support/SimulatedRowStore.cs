using Arus.Storage.Rows;

namespace Arus.Storage.Tests;

/// <summary>
/// A shared row store whose calls take effect when a seed says so: in any order, sometimes with an error before the effect, sometimes
/// with one after it. Calls of a dead client never return.
/// </summary>
internal sealed class SimulatedRowStore
{
    private readonly Dictionary<string, byte[]> _rows = new(StringComparer.Ordinal);
    private readonly List<(Client Client, Action Apply, Action<Exception> Fail)> _calls = [];
    private readonly Dictionary<LogHead, (byte[] Bytes, string ETag)> _heads = [];
    private int _headVersion;

    public bool Faulty { get; set; } = true;

    /// <summary>No head can be written.</summary>
    public bool RefusesHeads { get; set; }

    public int Rows => _rows.Count;

    public bool HasHead => _heads.Count > 0;

    public IReadOnlyCollection<string> Keys => _rows.Keys;

    public Client Connect() => new(this);

    /// <summary>Lets one waiting call take its course; false when none waits.</summary>
    public bool Step(Random random)
    {
        _calls.RemoveAll(call => call.Client.IsDead);
        int[] ready = [.. Enumerable.Range(0, _calls.Count).Where(call => !_calls[call].Client.IsStalled)];
        if (ready.Length == 0)
            return false;

        int index = ready[random.Next(ready.Length)];
        (_, Action apply, Action<Exception> fail) = _calls[index];
        _calls.RemoveAt(index);
        switch (Faulty ? random.Next(40) : 2)
        {
            case 0:
                fail(new IOException("The call was lost."));
                break;
            default:
                apply();
                break;
        }

        return true;
    }

    internal sealed class Client(SimulatedRowStore store) : ISegmentRowStore
    {
        private readonly Random _lost = new(store._calls.Count);

        public bool IsDead { get; set; }

        /// <summary>Its calls wait.</summary>
        public bool IsStalled { get; set; }

        public ValueTask<bool> TryInsertAsync(string key, ReadOnlyMemory<byte> row)
        {
            byte[] bytes = row.ToArray();
            return Call(() => store._rows.TryAdd(key, bytes));
        }

        public ValueTask<ReadOnlyMemory<byte>?> ReadAsync(string key) =>
            Call(() => store._rows.TryGetValue(key, out byte[]? row) ? new ReadOnlyMemory<byte>(row) : (ReadOnlyMemory<byte>?)null);

        public async ValueTask DeleteAsync(string key) => await Call(() => store._rows.Remove(key)).ConfigureAwait(false);

        public ValueTask<StoredHead?> ReadHeadAsync(LogHead head) =>
            Call(() => store._heads.TryGetValue(head, out (byte[] Bytes, string ETag) stored)
                ? new StoredHead(stored.Bytes, stored.ETag) : null);

        public ValueTask<string?> TryWriteHeadAsync(LogHead head, ReadOnlyMemory<byte> bytes, string? etag)
        {
            if (store.RefusesHeads)
                return ValueTask.FromException<string?>(new IOException("The head cannot be written."));

            byte[] copy = bytes.ToArray();
            return Call(() =>
            {
                if (etag != (store._heads.TryGetValue(head, out (byte[] Bytes, string ETag) stored) ? stored.ETag : null))
                    return null;

                string next = $"{++store._headVersion}";
                store._heads[head] = (copy, next);
                return next;
            });
        }

        public async ValueTask DeleteHeadAsync(LogHead head) => await Call(() => store._heads.Remove(head)).ConfigureAwait(false);

        private ValueTask<T> Call<T>(Func<T> effect)
        {
            // Continuations run inside Step, so that a seed replays everything.
            var source = new TaskCompletionSource<T>();
            store._calls.Add((
                this,
                () =>
                {
                    T result = effect();
                    if (store.Faulty && _lost.Next(40) == 0)
                        source.SetException(new IOException("The answer was lost."));
                    else
                        source.SetResult(result);
                },
                source.SetException));
            return new ValueTask<T>(source.Task);
        }
    }
}
