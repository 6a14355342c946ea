namespace Arus.Testing;

/// <summary>What tests wait for. Not thread-safe: its owner guards it with the lock that guards what the conditions read.</summary>
internal sealed class Conditions
{
    private readonly List<(Func<bool> Condition, TaskCompletionSource Met)> _waiters = [];

    /// <summary>Completes when the condition holds; it is tried now and at each <see cref="Check"/>.</summary>
    /// <exception cref="TimeoutException">It did not within <see cref="TestTimeout.Value"/>.</exception>
    public Task WhenAsync(Func<bool> condition)
    {
        if (condition())
            return Task.CompletedTask;

        var met = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _waiters.Add((condition, met));
        return met.Task.WaitAsync(TestTimeout.Value);
    }

    public void Check()
    {
        foreach ((Func<bool> Condition, TaskCompletionSource Met) waiter in _waiters.ToArray())
        {
            if (waiter.Condition())
            {
                _waiters.Remove(waiter);
                waiter.Met.SetResult();
            }
        }
    }
}
