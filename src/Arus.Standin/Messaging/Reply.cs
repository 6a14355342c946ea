using Microsoft.Extensions.Logging;
using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>Where the answer to a request goes.</summary>
internal abstract class Reply
{
    public abstract void Succeed<TArgs, TResult>(GrainMethod<TArgs, TResult> method, TResult result);

    public abstract void Fail(Exception exception);
}

/// <summary>Nobody waits for the answer of a one-way request; where it fails, the log says so.</summary>
internal sealed partial class NoReply(ILogger logger) : Reply
{
    public override void Succeed<TArgs, TResult>(GrainMethod<TArgs, TResult> method, TResult result)
    {
    }

    public override void Fail(Exception exception) => LogFailed(logger, exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A one-way call failed.")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}

/// <summary>A call that waits for its answer in this process.</summary>
internal abstract class PendingCall(CallTable table, GrainId target, string method, long timeoutMs) : Reply
{
    /// <summary>Given by the table.</summary>
    public long Id { get; set; }

    public GrainId Target { get; } = target;

    public string Description => $"{method} of {Target}";

    public long TimeoutMs { get; } = timeoutMs;

    public long Deadline { get; } = Environment.TickCount64 + timeoutMs;

    /// <summary>The connection that carries it; when that breaks, so does the call.</summary>
    public Connection? Via { get; set; }

    public sealed override void Fail(Exception exception)
    {
        if (table.TryRemove(this))
        {
            SetException(exception);
        }
    }

    /// <summary>Takes the answer from the wire; the call has left the table.</summary>
    public abstract void Complete(byte status, WireReader reader, RuntimeCore runtime);

    public abstract void SetException(Exception exception);
}

internal sealed class PendingCall<TArgs, TResult>(CallTable table, GrainMethod<TArgs, TResult> method, GrainId target, long timeoutMs)
    : PendingCall(table, target, method.Description, timeoutMs)
{
    private readonly CallTable _table = table;
    private readonly TaskCompletionSource<TResult> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task<TResult> Task => _completion.Task;

    public override void Succeed<TOtherArgs, TOtherResult>(GrainMethod<TOtherArgs, TOtherResult> method, TOtherResult result)
    {
        TOtherResult copy = method.CopyResult(result);
        if (_table.TryRemove(this))
        {
            ((TaskCompletionSource<TOtherResult>)(object)_completion).TrySetResult(copy);
        }
    }

    public override void Complete(byte status, WireReader reader, RuntimeCore runtime)
    {
        try
        {
            if (status == Frame.Success)
            {
                _completion.TrySetResult(method.Result is { } codec ? codec.Read(reader) : default!);
            }
            else
            {
                SetException(runtime.ReadException(reader));
            }
        }
        catch (Exception exception)
        {
            SetException(exception);
        }
    }

    public override void SetException(Exception exception)
    {
        if (exception is OperationCanceledException canceled && canceled.CancellationToken.IsCancellationRequested)
        {
            _completion.TrySetCanceled(canceled.CancellationToken);
            return;
        }

        _completion.TrySetException(exception);

        // A caller that does not await is not to bring the process down.
        _ = _completion.Task.Exception;
    }
}

/// <summary>The answer goes over the connection that the request came by.</summary>
internal sealed class RemoteReply(RuntimeCore runtime, Connection connection, long callId) : Reply
{
    public long CallId { get; } = callId;

    public Connection Connection { get; } = connection;

    public override void Succeed<TArgs, TResult>(GrainMethod<TArgs, TResult> method, TResult result)
    {
        try
        {
            if (Connection.HasRoom)
            {
                Connection.SendResponse(CallId, method.Result, result);
                return;
            }
        }
        catch (Exception exception) when (!Connection.IsClosed)
        {
            // The result cannot be sent, for its type or size; the caller is told so.
            Fail(exception);
            return;
        }

        _ = SendLaterAsync(method, result);
    }

    public override void Fail(Exception exception) => _ = FailAsync(exception);

    private async Task SendLaterAsync<TArgs, TResult>(GrainMethod<TArgs, TResult> method, TResult result)
    {
        try
        {
            // Until it is written the result is still the grain's, which may go on changing it.
            result = method.CopyResult(result);
            await Connection.WaitForRoomAsync();
            Connection.SendResponse(CallId, method.Result, result);
        }
        catch (Exception exception)
        {
            await FailAsync(exception);
        }
    }

    private async Task FailAsync(Exception exception)
    {
        try
        {
            await Connection.WaitForRoomAsync();
            Connection.SendException(CallId, exception, runtime);
        }
        catch (Exception unreachable)
        {
            runtime.LogUndeliverable(CallId, unreachable);
        }
    }
}

/// <summary>
/// A call that is passed on, by a client's gateway or by a silo that was thought to host the grain: the answer goes back unread.
/// </summary>
internal sealed class RelayedCall(CallTable table, RemoteReply caller, GrainId target, string method, long timeoutMs)
    : PendingCall(table, target, method, timeoutMs)
{
    public override void Succeed<TArgs, TResult>(GrainMethod<TArgs, TResult> method, TResult result) => caller.Succeed(method, result);

    public override void Complete(byte status, WireReader reader, RuntimeCore runtime)
    {
        // A silo that called learns that it called the wrong one; a client always calls its gateway.
        byte marked = caller.Connection.ClientId is null ? (byte)(status | Frame.MovedFlag) : status;
        if (caller.Connection.HasRoom)
        {
            caller.Connection.TrySendRawResponse(caller.CallId, marked, reader.ReadBytes(reader.Remaining));
        }
        else
        {
            _ = SendLaterAsync(marked, reader.ReadBytes(reader.Remaining).ToArray());
        }
    }

    public override void SetException(Exception exception) => caller.Fail(exception);

    private async Task SendLaterAsync(byte status, byte[] payload)
    {
        if (await caller.Connection.WaitForRoomAsync())
        {
            caller.Connection.TrySendRawResponse(caller.CallId, status, payload);
        }
    }
}
