using Microsoft.Extensions.Logging;

namespace Orleans.Runtime;

/// <summary>A timer whose ticks are turns of its activation. A tick that is due while the last one runs comes after it.</summary>
internal sealed partial class GrainTimer : IGrainTimer
{
    private readonly Activation _activation;
    private readonly GrainTimerCreationOptions _options;
    private readonly Func<CancellationToken, Task> _callback;
    private readonly ITimer _timer;
    private readonly CancellationTokenSource _disposal = new();
    private readonly Lock _gate = new();
    private TimeSpan _period;
    private bool _ticking;
    private bool _changed;
    private bool _dueAgain;
    private bool _disposed;

    public GrainTimer(Activation activation, GrainTimerCreationOptions options, Func<CancellationToken, Task> callback)
    {
        _activation = activation;
        _options = options;
        _callback = callback;
        bool suppressed = ExecutionContext.IsFlowSuppressed();
        if (suppressed)
        {
            _timer = Create();
        }
        else
        {
            using (ExecutionContext.SuppressFlow())
            {
                _timer = Create();
            }
        }

        ITimer Create() => activation.Silo.Time.CreateTimer(
            static state => ((GrainTimer)state!).OnDue(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public void Change(TimeSpan dueTime, TimeSpan period)
    {
        if (dueTime < TimeSpan.Zero && dueTime != Timeout.InfiniteTimeSpan)
        {
            throw new ArgumentOutOfRangeException(nameof(dueTime), dueTime, "Negative; use Timeout.InfiniteTimeSpan for never.");
        }

        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _period = period <= TimeSpan.Zero ? Timeout.InfiniteTimeSpan : period;
            _changed = true;
            _timer.Change(dueTime, Timeout.InfiniteTimeSpan);
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
        }

        _timer.Dispose();
        _disposal.Cancel();
        _activation.Forget(this);
    }

    private void OnDue()
    {
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            if (_ticking)
            {
                _dueAgain = true;
                return;
            }

            _ticking = true;
            _changed = false;
        }

        if (!_activation.TryReceive(new Tick(this)))
        {
            Dispose();
        }
    }

    private void OnTicked()
    {
        lock (_gate)
        {
            _ticking = false;
            if (!_disposed && (_dueAgain || !_changed))
            {
                _timer.Change(_dueAgain ? TimeSpan.Zero : _period, Timeout.InfiniteTimeSpan);
            }

            _dueAgain = false;
        }
    }

    private sealed class Tick(GrainTimer timer) : WorkItem
    {
        public override bool Interleaves => timer._options.Interleave;

        public override bool KeepsAlive => timer._options.KeepAlive;

        public override async Task RunAsync(object grain)
        {
            try
            {
                if (!timer._disposed)
                {
                    await timer._callback(timer._disposal.Token);
                }
            }
            catch (Exception exception)
            {
                LogTickFailed(timer._activation.Silo.Logger, timer._activation.GrainId, exception);
            }
            finally
            {
                timer.OnTicked();
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "A timer of {GrainId} failed; its next tick comes as planned.")]
    private static partial void LogTickFailed(ILogger logger, GrainId grainId, Exception exception);
}
