namespace Arus.Storage.Tests;

/// <summary>Runs the log's work when a test says so, on the test's thread, in an order that a seed decides.</summary>
internal sealed class ManualScheduler : ILogScheduler
{
    private readonly SortedDictionary<(LogLane Lane, int Affinity), Queue<ILogWork>> _queues = [];
    private bool _stopped;

    public int Waiting => _queues.Values.Sum(queue => queue.Count);

    public void Queue(LogLane lane, int affinity, ILogWork work)
    {
        if (_stopped)
        {
            return; // The machine is off.
        }

        if (!_queues.TryGetValue((lane, affinity), out Queue<ILogWork>? queue))
        {
            _queues.Add((lane, affinity), queue = new Queue<ILogWork>());
        }

        queue.Enqueue(work);
    }

    public bool RunOne(Random random)
    {
        Queue<ILogWork>[] ready = [.. _queues.Values.Where(queue => queue.Count > 0)];
        if (ready.Length == 0)
        {
            return false;
        }

        ready[random.Next(ready.Length)].Dequeue().Execute();
        return true;
    }

    public void RunAll()
    {
        while (_queues.Values.FirstOrDefault(queue => queue.Count > 0) is { } queue)
        {
            queue.Dequeue().Execute();
        }
    }

    /// <summary>Runs until the task is done; it fails when nothing is left to run.</summary>
    public async Task<T> RunAsync<T>(ValueTask<T> task)
    {
        Task<T> running = task.AsTask();
        RunAll();
        return await running;
    }

    public Task RunAsync(ValueTask task) => RunAsync(Wrap(task));

    public void Stop()
    {
        _stopped = true;
        _queues.Clear();
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static async ValueTask<bool> Wrap(ValueTask task)
    {
        await task;
        return true;
    }
}
