using System.Collections.Concurrent;

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

    private sealed class Worker
    {
        private readonly BlockingCollection<ILogWork> _queue = [];
        private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Worker(string name) => new Thread(Run) { Name = name, IsBackground = true }.Start();

        public void Add(ILogWork work)
        {
            ObjectDisposedException.ThrowIf(_queue.IsAddingCompleted, typeof(LogThreads));
            _queue.Add(work);
        }

        public Task StopAsync()
        {
            _queue.CompleteAdding();
            return _stopped.Task;
        }

        private void Run()
        {
            foreach (ILogWork work in _queue.GetConsumingEnumerable())
                work.Execute();

            _stopped.SetResult();
        }
    }
}
