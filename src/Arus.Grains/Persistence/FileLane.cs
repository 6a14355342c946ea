using System.Collections.Concurrent;

namespace Arus.Grains;

/// <summary>A few threads for blocking file work, so that it never holds the thread pool's. Bounded; safe for concurrent use.</summary>
internal sealed class FileLane : IDisposable
{
    private readonly BlockingCollection<Task> _work = [];
    private readonly SemaphoreSlim _room;

    /// <param name="capacity">Operations that may be queued; further ones wait asynchronously.</param>
    public FileLane(string name, int threads, int capacity)
    {
        _room = new SemaphoreSlim(capacity);
        for (int i = 0; i < threads; i++)
            new Thread(Run) { IsBackground = true, Name = $"{name} {i}" }.Start();
    }

    /// <summary>Runs <paramref name="work"/> on one of the threads.</summary>
    /// <exception cref="ObjectDisposedException">The lane was closed.</exception>
    public async Task<T> RunAsync<T>(Func<T> work)
    {
        await _room.WaitAsync().ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(_work.IsAddingCompleted, this);
            var done = new Task<T>(work, TaskCreationOptions.RunContinuationsAsynchronously);
            _work.Add(done);
            return await done.ConfigureAwait(false);
        }
        finally
        {
            _room.Release();
        }
    }

    /// <summary>Lets what is queued end and its threads go; does not wait for them.</summary>
    public void Dispose() => _work.CompleteAdding();

    private void Run()
    {
        // The default scheduler runs a task on the thread that asks for it.
        foreach (Task work in _work.GetConsumingEnumerable())
            work.RunSynchronously(TaskScheduler.Default);
    }
}
