namespace Arus.Storage;

/// <summary>
/// A few dedicated threads for disk work, so that a slow disk starves no thread pool. A queue is as long as there are logs with
/// work (each log is queued once) and callers that wait for a read; both are bounded by their owners.
/// </summary>
public sealed class LogThreads : ILogScheduler
{
    private readonly Worker[][] _lanes;

    /// <param name="threads">Of the lanes <see cref="LogLane.Write"/> and <see cref="LogLane.Read"/> each; the others have one.</param>
    public LogThreads(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        _lanes =
        [
            Workers("arus-log-write", threads), Workers("arus-log-read", threads),
            Workers("arus-log-seal", 1), Workers("arus-log-clean", 1),
        ];
    }

    public void Queue(LogLane lane, int affinity, ILogWork work)
    {
        Worker[] workers = _lanes[(int)lane];
        workers[(affinity & int.MaxValue) % workers.Length].Add(work);
    }

    /// <summary>Finishes what is queued, then stops the threads.</summary>
    public async ValueTask DisposeAsync() =>
        await Task.WhenAll(_lanes.SelectMany(workers => workers).Select(worker => worker.StopAsync())).ConfigureAwait(false);

    private static Worker[] Workers(string name, int count) =>
        [.. Enumerable.Range(0, count).Select(number => new Worker($"{name}-{number}"))];

    private sealed class Worker(string name)
    {
        private readonly object _lock = new();
        private readonly Queue<ILogWork> _queue = new();
        private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private bool _started;
        private bool _stopping;

        public void Add(ILogWork work)
        {
            lock (_lock)
            {
                ObjectDisposedException.ThrowIf(_stopping, typeof(LogThreads));
                _queue.Enqueue(work);
                if (!_started)
                {
                    _started = true;
                    new Thread(Run) { Name = name, IsBackground = true }.Start();
                }
                else
                {
                    Monitor.Pulse(_lock);
                }
            }
        }

        public Task StopAsync()
        {
            lock (_lock)
            {
                _stopping = true;
                if (_started)
                    Monitor.Pulse(_lock);
                else
                    _stopped.TrySetResult();
            }

            return _stopped.Task;
        }

        private void Run()
        {
            while (Take() is { } work)
                work.Execute();

            _stopped.TrySetResult();
        }

        private ILogWork? Take()
        {
            lock (_lock)
            {
                while (_queue.Count == 0)
                {
                    if (_stopping)
                        return null;

                    Monitor.Wait(_lock);
                }

                return _queue.Dequeue();
            }
        }
    }
}
