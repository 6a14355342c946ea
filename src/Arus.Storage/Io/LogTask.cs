namespace Arus.Storage;

/// <summary>A function that runs on a lane of the scheduler, and its result as a task.</summary>
/// <param name="translate">Makes of an exception the one that the task ends with.</param>
internal sealed class LogTask<T>(Func<T> action, Func<Exception, Exception> translate) : ILogWork
{
    private readonly TaskCompletionSource<T> _source = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task<T> Task => _source.Task;

    public void Execute()
    {
        try
        {
            _source.SetResult(action());
        }
        catch (Exception error)
        {
            _source.SetException(translate(error));
        }
    }
}

/// <summary>Work whose result nobody waits for.</summary>
internal sealed class LogAction(Action action, Action<Exception> onError) : ILogWork
{
    public void Execute()
    {
        try
        {
            action();
        }
        catch (Exception error)
        {
            onError(error);
        }
    }
}
