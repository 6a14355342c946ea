namespace Arus.Storage.Tests;

/// <summary>
/// A grain's task scheduler, as a killed silo leaves it: until <see cref="Halt"/> it runs tasks one at a time, then none ever again.
/// </summary>
internal sealed class MortalTaskScheduler : TaskScheduler
{
    private readonly ConcurrentExclusiveSchedulerPair _turns = new();
    private volatile bool _halted;

    public override int MaximumConcurrencyLevel => 1;

    public void Halt() => _halted = true;

    /// <summary>Begins something in a turn; completes when that turn is over, whatever it awaits.</summary>
    public Task<Task> BeginAsync(Func<Task> action) =>
        Task.Factory.StartNew(action, CancellationToken.None, TaskCreationOptions.None, this);

    protected override void QueueTask(Task task) =>
        Task.Factory.StartNew(
            () =>
            {
                if (!_halted)
                    TryExecuteTask(task);
            },
            CancellationToken.None, TaskCreationOptions.None, _turns.ExclusiveScheduler);

    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) => false;

    protected override IEnumerable<Task> GetScheduledTasks() => [];
}
