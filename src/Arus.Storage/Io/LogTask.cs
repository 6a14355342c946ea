using System.Threading.Tasks.Sources;

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

/// <summary>A result that is waited for once, in one object.</summary>
/// <param name="inline">Whether the continuation runs where the result is set; otherwise it runs on the thread pool.</param>
internal abstract class ValueTaskSource<T>(bool inline = false) : IValueTaskSource<T>
{
    private ManualResetValueTaskSourceCore<T> _core = new() { RunContinuationsAsynchronously = !inline };

    public ValueTask<T> AsValueTask() => new(this, _core.Version);

    protected void SetResult(T result) => _core.SetResult(result);

    protected void SetException(Exception error) => _core.SetException(error);

    T IValueTaskSource<T>.GetResult(short token) => _core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<T>.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource<T>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
