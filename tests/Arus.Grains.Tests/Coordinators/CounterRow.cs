using System.Collections.Concurrent;
using Arus.Testing;
using Orleans.Storage;

namespace Arus.Grains.Tests.Coordinators;

/// <summary>The rows of all counters, outside of all silos as a database is.</summary>
internal sealed class CounterRows
{
    private readonly ConcurrentDictionary<string, CounterRow> _rows = new();

    public CounterRow Of(string key) => _rows.GetOrAdd(key, _ => new CounterRow());
}

/// <summary>What is stored of one counter, and a journal of all that its store, machine and grain do, in their order.</summary>
internal sealed class CounterRow
{
    private readonly Lock _gate = new();
    private readonly List<string> _journal = [];
    private readonly List<(string Entry, TaskCompletionSource Source)> _waiters = [];
    private int _version;
    private bool _exists;
    private int _total;

    /// <summary>Awaited before a "load", "claim" or "write" takes effect; and as "after write", before it is reported.</summary>
    public Func<string, Task> At { get; set; } = _ => Task.CompletedTask;

    public int Total
    {
        get
        {
            lock (_gate)
                return _total;
        }
    }

    public void Note(string entry)
    {
        lock (_gate)
        {
            _journal.Add(entry);
            foreach ((_, TaskCompletionSource source) in _waiters.Where(waiter => waiter.Entry == entry))
                source.TrySetResult();
        }
    }

    /// <summary>The entries so far, but for those that another kind of test is about.</summary>
    public string[] Journal(params string[] kinds)
    {
        lock (_gate)
            return [.. _journal.Where(entry => kinds.Length == 0 || kinds.Contains(entry.Split(' ')[0]))];
    }

    /// <summary>Completes when the entry is in the journal.</summary>
    public Task NotedAsync(string entry)
    {
        lock (_gate)
        {
            var source = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Add((entry, source));
            return _journal.Contains(entry) ? Task.CompletedTask : source.Task.WaitAsync(TestTimeout.Value);
        }
    }

    /// <summary>Holds the next operation of a name until the action that is returned is called.</summary>
    public (Task Reached, Action Release) Hold(string operation)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var released = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        At = name =>
        {
            return name == operation && reached.TrySetResult() ? released.Task : Task.CompletedTask;
        };
        return (reached.Task.WaitAsync(TestTimeout.Value), released.SetResult);
    }

    /// <summary>Stores a total as another activation does that has claimed the row.</summary>
    public void StoreElsewhere(int total)
    {
        lock (_gate)
        {
            _version++;
            _exists = true;
            _total = total;
        }
    }

    /// <summary>A store of one activation.</summary>
    public sealed class Store(CounterRow row) : ICoordinatorStore<CounterRecords>
    {
        private int _version;

        public bool Exists { get; private set; }

        public int Total { get; private set; }

        public async Task LoadAsync(bool claim)
        {
            await row.At(claim ? "claim" : "load");
            lock (row._gate)
            {
                row._version += claim ? 1 : 0;
                (Exists, Total, _version) = (row._exists, row._total, row._version);
            }

            row.Note($"{(claim ? "claimed" : "loaded")} {Total}");
        }

        public async Task WriteAsync(CounterRecords records)
        {
            row.Note($"write {records.Total}");
            await row.At("write");
            lock (row._gate)
            {
                if (_version != row._version)
                    throw new InconsistentStateException("Another activation has claimed the counter.");

                row._exists = true;
                row._total = records.Total;
            }

            Exists = true;
            row.Note($"stored {records.Total}");
            await row.At("after write");
        }

        public Task<bool> IsOwnerAsync()
        {
            lock (row._gate)
                return Task.FromResult(_version == row._version);
        }
    }
}
