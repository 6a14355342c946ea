using System.Collections.Concurrent;

namespace Arus.Grains;

/// <summary>A few threads for blocking file work, so that it never holds the thread pool's. Bounded; safe for concurrent use.</summary>
internal sealed class FileLane : IDisposable
{
    private readonly BlockingCollection<Action> _work = [];
    private readonly SemaphoreSlim _room;
    private readonly Thread[] _threads;

    /// <param name="capacity">Operations that may be queued; further ones wait asynchronously.</param>
    public FileLane(string name, int threads, int capacity)
    {
        _room = new SemaphoreSlim(capacity);
        _threads = [.. Enumerable.Range(0, threads).Select(i => new Thread(Run) { IsBackground = true, Name = $"{name} {i}" })];
        foreach (Thread thread in _threads)
            thread.Start();
    }

    /// <summary>Runs <paramref name="work"/> on one of the threads.</summary>
    /// <exception cref="ObjectDisposedException">The lane was closed.</exception>
    public async Task<T> RunAsync<T>(Func<T> work)
    {
        await _room.WaitAsync().ConfigureAwait(false);
        try
        {
            var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
            try
            {
                _work.Add(() => Complete(done, work));
            }
            catch (InvalidOperationException)
            {
                throw new ObjectDisposedException(nameof(FileLane));
            }

            return await done.Task.ConfigureAwait(false);
        }
        finally
        {
            _room.Release();
        }
    }

    /// <summary>Lets what is queued end and its threads go; does not wait for them.</summary>
    public void Dispose() => _work.CompleteAdding();

    private static void Complete<T>(TaskCompletionSource<T> done, Func<T> work)
    {
        try
        {
            done.SetResult(work());
        }
        catch (Exception failed)
        {
            done.SetException(failed);
        }
    }

    private void Run()
    {
        foreach (Action work in _work.GetConsumingEnumerable())
            work();
    }
}
