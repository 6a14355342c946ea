using Microsoft.Extensions.Logging;

namespace Orleans.Runtime;

internal sealed partial class Activation
{
    private TaskCompletionSource? _drained;

    /// <summary>Begins to activate; work may be given to it at once.</summary>
    public void Start()
    {
        if (Silo.IsStopped)
        {
            Abandon(); // The kill may have come before this one was listed.
            return;
        }

        _scheduler.Schedule(static state => _ = ((Activation)state!).ActivateAsync(), this);
    }

    private async Task ActivateAsync()
    {
        try
        {
            if (Class.Placement.IsUsingGrainDirectory)
            {
                GrainAddress winner = await Silo.Directory.RegisterAsync(Address);
                if (!winner.Matches(Address))
                {
                    // The grain is active elsewhere: nothing was made yet, so this one goes and its work moves on.
                    Silo.Directory.Remember(winner);
                    Leave(null);
                    return;
                }
            }

            using var timeout = new CancellationTokenSource(Silo.Collection.ActivationTimeout);
            GrainInstance = Class.CreateInstance(this);
            if (_lifecycle.IsValueCreated)
            {
                await _lifecycle.Value.StartAsync(int.MinValue, GrainLifecycleStage.Activate - 1, timeout.Token);
            }

            if (GrainInstance is IGrainBase grain)
            {
                await grain.OnActivateAsync(timeout.Token);
            }

            if (_lifecycle.IsValueCreated)
            {
                await _lifecycle.Value.StartAsync(GrainLifecycleStage.Activate, int.MaxValue, timeout.Token);
            }

            BecomeValid();
        }
        catch (Exception exception)
        {
            await FailActivationAsync(exception);
        }
    }

    private void BecomeValid()
    {
        lock (_gate)
        {
            _lastUsed = Silo.Time.GetTimestamp();
            if (_ending is null)
            {
                _state = State.Valid;
                StartWaiting();
                return;
            }

            _state = State.Deactivating;
        }

        _ = DeactivateAsync();
    }

    private async Task FailActivationAsync(Exception exception)
    {
        LogActivationFailed(Silo.Logger, GrainId, exception);
        StopTimers();
        await StopLifecycleAsync(CancellationToken.None);
        await UnregisterAsync();
        Leave(exception);
    }

    /// <summary>Runs when the activation is <see cref="State.Deactivating"/>: waits for running work, then says goodbye.</summary>
    private async Task DeactivateAsync()
    {
        DeactivationReason reason = _ending!.Value;
        using var timeout = new CancellationTokenSource(Silo.Collection.DeactivationTimeout);
        StopTimers();
        try
        {
            Task drained;
            lock (_gate)
            {
                _drained = new TaskCompletionSource();
                if (_running == 0)
                {
                    _drained.SetResult();
                }

                drained = _drained.Task;
            }

            await drained.WaitAsync(timeout.Token);
        }
        catch (OperationCanceledException)
        {
            LogStillRunning(Silo.Logger, GrainId, _running, Silo.Collection.DeactivationTimeout);
        }

        try
        {
            if (_lifecycle.IsValueCreated)
            {
                await _lifecycle.Value.StopAsync(GrainLifecycleStage.Activate, LogLifecycleFailure, timeout.Token);
            }

            if (GrainInstance is IGrainBase grain)
            {
                await grain.OnDeactivateAsync(reason, timeout.Token);
            }
        }
        catch (Exception exception)
        {
            LogDeactivationFailed(Silo.Logger, GrainId, exception);
        }

        await StopLifecycleAsync(timeout.Token);
        await UnregisterAsync();
        Leave(null);
    }

    private async Task StopLifecycleAsync(CancellationToken cancellationToken)
    {
        if (_lifecycle.IsValueCreated)
        {
            await _lifecycle.Value.StopAsync(int.MinValue, LogLifecycleFailure, cancellationToken);
        }

        try
        {
            if (GrainInstance is IAsyncDisposable asyncDisposable)
            {
                await asyncDisposable.DisposeAsync();
            }
            else
            {
                (GrainInstance as IDisposable)?.Dispose();
            }
        }
        catch (Exception exception)
        {
            LogDeactivationFailed(Silo.Logger, GrainId, exception);
        }
    }

    private async Task UnregisterAsync()
    {
        if (!Class.Placement.IsUsingGrainDirectory)
        {
            return;
        }

        try
        {
            await Silo.Directory.UnregisterAsync(Address);
        }
        catch (Exception exception)
        {
            // The entry stays behind and points here, where the next request finds no activation and repairs it.
            LogUnregisterFailed(Silo.Logger, GrainId, exception.Message);
        }
    }

    /// <summary>The end: waiting work goes elsewhere or, after a failed activation, gets the failure.</summary>
    private void Leave(Exception? failure)
    {
        WorkItem[] waiting;
        lock (_gate)
        {
            _state = State.Gone;
            waiting = [.. _waiting];
            _waiting.Clear();
        }

        Silo.Catalog.Remove(this);
        foreach (Invocation invocation in waiting.OfType<Invocation>())
        {
            if (failure is not null)
            {
                invocation.Fail(failure);
            }
            else
            {
                Silo.Reroute(invocation);
            }
        }

        if (_scope.IsValueCreated)
        {
            _ = DisposeScopeAsync();
        }

        _gone.TrySetResult();
    }

    private async Task DisposeScopeAsync()
    {
        try
        {
            if (_scope.Value is IAsyncDisposable scope)
            {
                await scope.DisposeAsync();
            }
            else
            {
                _scope.Value.Dispose();
            }
        }
        catch (Exception exception)
        {
            LogDeactivationFailed(Silo.Logger, GrainId, exception);
        }
    }

    private void StopTimers()
    {
        GrainTimer[] timers;
        lock (_gate)
        {
            timers = [.. _timers];
        }

        foreach (GrainTimer timer in timers)
        {
            timer.Dispose();
        }
    }

    private void LogLifecycleFailure(string observer, Exception exception) => LogLifecycleFailed(Silo.Logger, GrainId, observer, exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "Grain {GrainId} could not be activated.")]
    private static partial void LogActivationFailed(ILogger logger, GrainId grainId, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Grain {GrainId} is deactivated while {Running} requests still run after {Timeout}.")]
    private static partial void LogStillRunning(ILogger logger, GrainId grainId, int running, TimeSpan timeout);

    [LoggerMessage(Level = LogLevel.Error, Message = "Grain {GrainId} failed while it was deactivated.")]
    private static partial void LogDeactivationFailed(ILogger logger, GrainId grainId, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "Grain {GrainId}: {Observer} failed to stop.")]
    private static partial void LogLifecycleFailed(ILogger logger, GrainId grainId, string observer, Exception exception);

    [LoggerMessage(Level = LogLevel.Information, Message = "Grain {GrainId} could not be taken out of the directory: {Reason}")]
    private static partial void LogUnregisterFailed(ILogger logger, GrainId grainId, string reason);
}
