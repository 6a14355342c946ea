using Arus.Storage;

namespace Arus.Simulation;

/// <summary>
/// Runs a log's work when the simulation says so, on its thread. What the work wakes may go on in the thread pool and queue more; nobody
/// else does anything until that has come back, so that chance has no part in it.
/// </summary>
internal sealed class InlineScheduler : ILogScheduler
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Lock _lock = new();
    private readonly Queue<ILogWork>[] _lanes = [new(), new(), new(), new()];
    private bool _stopped;

    public void Queue(LogLane lane, int affinity, ILogWork work)
    {
        lock (_lock)
        {
            if (!_stopped)
                _lanes[(int)lane].Enqueue(work);
        }
    }

    public void RunAll()
    {
        while (Take() is { } work)
            work.Execute();
    }

    /// <summary>Runs what there is until the task is done.</summary>
    public T Run<T>(ValueTask<T> task)
    {
        RunUntil(task.IsCompleted ? null : task.AsTask(), out Task? done);
        return done is null ? task.Result : ((Task<T>)done).GetAwaiter().GetResult();
    }

    /// <inheritdoc cref="Run{T}"/>
    public void Run(ValueTask task)
    {
        RunUntil(task.IsCompleted ? null : task.AsTask(), out Task? done);
        if (done is null)
            task.GetAwaiter().GetResult();
        else
            done.GetAwaiter().GetResult();
    }

    /// <summary>The process is gone: nothing that is queued will run.</summary>
    public void Stop()
    {
        lock (_lock)
        {
            _stopped = true;
            Array.ForEach(_lanes, lane => lane.Clear());
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private void RunUntil(Task? task, out Task? done)
    {
        done = task;
        var wait = default(SpinWait);
        long began = Environment.TickCount64;
        while (task is { IsCompleted: false })
        {
            if (Take() is { } work)
                work.Execute();
            else if (Environment.TickCount64 - began > Patience.TotalMilliseconds)
                throw new TimeoutException("A log waits for work that nobody has queued.");
            else
                wait.SpinOnce(sleep1Threshold: -1);
        }
    }

    /// <summary>The lanes in a fixed order, so that it does not matter when a continuation of the pool queues its work.</summary>
    private ILogWork? Take()
    {
        lock (_lock)
        {
            foreach (LogLane lane in (ReadOnlySpan<LogLane>)[LogLane.Seal, LogLane.Clean, LogLane.Write, LogLane.Read])
            {
                if (_lanes[(int)lane].TryDequeue(out ILogWork? work))
                    return work;
            }

            return null;
        }
    }
}
