using Arus.Storage;

namespace Arus.Testing;

/// <summary>Runs the log's work when a test says so, on the test's thread, in an order that a seed decides.</summary>
public sealed class ManualScheduler : ILogScheduler
{
    /// <summary>What a piece of work wakes may go on in the thread pool, and queue more.</summary>
    private readonly Lock _lock = new();
    private readonly SortedDictionary<(LogLane Lane, int Affinity), Queue<ILogWork>> _queues = [];
    private TaskCompletionSource _queued = NewSignal();
    private bool _stopped;

    public void Queue(LogLane lane, int affinity, ILogWork work)
    {
        lock (_lock)
        {
            if (_stopped)
            {
                return; // The machine is off.
            }

            if (!_queues.TryGetValue((lane, affinity), out Queue<ILogWork>? queue))
                _queues.Add((lane, affinity), queue = new Queue<ILogWork>());

            queue.Enqueue(work);
            _queued.TrySetResult();
        }
    }

    public bool RunOne(Random random) => Run(Take(ready => random.Next(ready)));

    /// <summary>Runs what is queued in any order until the task is done; what the work wakes goes on in the pool and queues more.</summary>
    /// <param name="steps">No more pieces of work, or waits for one, than these.</param>
    public async Task RunUntilAsync(Task task, Random random, int steps = int.MaxValue)
    {
        for (int step = 0; step < steps && !task.IsCompleted; step++)
        {
            Task queued = WhenQueued();
            if (!RunOne(random))
                await Task.WhenAny(task, queued).WaitAsync(TestTimeout.Value);
        }
    }

    public void RunAll()
    {
        while (Run(Take(_ => 0)))
        {
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
        lock (_lock)
        {
            _stopped = true;
            _queues.Clear();
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes when work is queued from now on.</summary>
    private Task WhenQueued()
    {
        lock (_lock)
        {
            _queued = _queued.Task.IsCompleted ? NewSignal() : _queued;
            return _queued.Task;
        }
    }

    private static bool Run(ILogWork? work)
    {
        work?.Execute();
        return work is not null;
    }

    private ILogWork? Take(Func<int, int> choose)
    {
        lock (_lock)
        {
            Queue<ILogWork>[] ready = [.. _queues.Values.Where(queue => queue.Count > 0)];
            return ready.Length == 0 ? null : ready[choose(ready.Length)].Dequeue();
        }
    }

    private static async ValueTask<bool> Wrap(ValueTask task)
    {
        await task;
        return true;
    }
}
