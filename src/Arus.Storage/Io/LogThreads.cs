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

    /// <summary>
    /// A queue and its thread. The thread waits in a monitor, where it sleeps at once: the blocking collections of .NET spin first, and
    /// with a few appends a millisecond that was most of what these threads did, on processors that others wanted.
    /// </summary>
    private sealed class Worker
    {
        private readonly object _lock = new();
        private readonly Queue<ILogWork> _queue = new();
        private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private bool _isWaiting;
        private bool _isStopping;

        public Worker(string name) => new Thread(Run) { Name = name, IsBackground = true }.Start();

        public void Add(ILogWork work)
        {
            lock (_lock)
            {
                ObjectDisposedException.ThrowIf(_isStopping, typeof(LogThreads));
                _queue.Enqueue(work);
                Wake();
            }
        }

        public Task StopAsync()
        {
            lock (_lock)
            {
                _isStopping = true;
                Wake();
            }

            return _stopped.Task;
        }

        private void Run()
        {
            while (Take() is { } work)
                work.Execute();

            _stopped.SetResult();
        }

        /// <summary>Null when nothing is queued and nothing will be.</summary>
        private ILogWork? Take()
        {
            lock (_lock)
            {
                ILogWork? work;
                while (!_queue.TryDequeue(out work) && !_isStopping)
                {
                    _isWaiting = true;
                    Monitor.Wait(_lock);
                }

                return work;
            }
        }

        private void Wake()
        {
            if (!_isWaiting)
                return;

            _isWaiting = false;
            Monitor.Pulse(_lock);
        }
    }
}
