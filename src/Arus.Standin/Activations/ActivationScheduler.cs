namespace Orleans.Runtime;

/// <summary>
/// Runs the tasks of one activation, one at a time, on the thread pool. It is the current scheduler of whatever the grain awaits,
/// so the grain's code never runs on two threads at once.
/// </summary>
internal sealed class ActivationScheduler(Activation owner) : TaskScheduler, IThreadPoolWorkItem
{
    /// <summary>Tasks run before others get the thread.</summary>
    private const int Quantum = 64;

    private readonly Queue<Task> _queue = new();
    private bool _active;
    private volatile bool _halted;

    public override int MaximumConcurrencyLevel => 1;

    /// <summary>No task runs from now on; what is running ends its turn unseen.</summary>
    public void Halt() => _halted = true;

    /// <summary>Runs an action as a turn, without the caller's async-local values.</summary>
    public void Schedule(Action<object?> action, object? state)
    {
        if (ExecutionContext.IsFlowSuppressed())
        {
            new Task(action, state).Start(this);
            return;
        }

        using (ExecutionContext.SuppressFlow())
        {
            new Task(action, state).Start(this);
        }
    }

    void IThreadPoolWorkItem.Execute()
    {
        RuntimeContext.Current = owner;
        try
        {
            for (int count = 0; count < Quantum; count++)
            {
                Task? task;
                lock (_queue)
                {
                    if (!_queue.TryDequeue(out task))
                    {
                        _active = false;
                        return;
                    }
                }

                if (!_halted)
                {
                    TryExecuteTask(task);
                }
            }
        }
        finally
        {
            RuntimeContext.Current = null;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    protected override void QueueTask(Task task)
    {
        lock (_queue)
        {
            _queue.Enqueue(task);
            if (_active)
            {
                return;
            }

            _active = true;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: true);
    }

    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) =>
        !taskWasPreviouslyQueued && !_halted && ReferenceEquals(RuntimeContext.Current, owner) && TryExecuteTask(task);

    protected override IEnumerable<Task> GetScheduledTasks()
    {
        lock (_queue)
        {
            return [.. _queue];
        }
    }
}
