using System.Diagnostics;

namespace Arus.Storage;

/// <summary>The waits for a log's end to pass an offset: a task and a timer each, no thread or exception. Thread-safe.</summary>
/// <param name="endOf">Where those who wait stop reading.</param>
internal sealed class OffsetWaiters(TimeProvider time, Func<IPartitionLog, long> endOf)
{
    private readonly Lock _lock = new();
    private List<Waiter>? _waiters;
    private bool _closed;

    /// <param name="log">Its end is read once the waiter is listed, so that no advance is missed.</param>
    public ValueTask<bool> WaitAsync(IPartitionLog log, long offset, TimeSpan timeout, CancellationToken cancellationToken)
    {
        if (endOf(log) > offset)
            return new ValueTask<bool>(true);

        if ((timeout <= TimeSpan.Zero && timeout != Timeout.InfiniteTimeSpan) || cancellationToken.IsCancellationRequested)
            return new ValueTask<bool>(false);

        var waiter = new Waiter(this, offset);
        lock (_lock)
        {
            if (_closed)
                return new ValueTask<bool>(false);

            (_waiters ??= []).Add(waiter);
        }

        if (endOf(log) > offset)
        {
            Forget(waiter);
            waiter.Complete(true);
        }
        else
        {
            waiter.Arm(time, timeout, cancellationToken);
        }

        return new ValueTask<bool>(waiter.Task);
    }

    /// <summary>Releases the waits whose offset can be read now.</summary>
    public void Advance(long end)
    {
        List<Waiter>? released = null;
        lock (_lock)
        {
            for (int i = (_waiters?.Count ?? 0) - 1; i >= 0; i--)
            {
                if (_waiters![i].Offset < end)
                {
                    (released ??= []).Add(_waiters[i]);
                    _waiters[i] = _waiters[^1];
                    _waiters.RemoveAt(_waiters.Count - 1);
                }
            }

            Debug.Assert(
                _waiters is null || _waiters.TrueForAll(waiter => waiter.Offset >= end),
                "Waits are for what is not readable yet.");
        }

        released?.ForEach(waiter => waiter.Complete(true));
    }

    /// <summary>Releases all with "no"; later waits are answered so at once.</summary>
    public void Close()
    {
        List<Waiter>? released;
        lock (_lock)
        {
            _closed = true;
            (released, _waiters) = (_waiters, null);
        }

        released?.ForEach(waiter => waiter.Complete(false));
    }

    private void Forget(Waiter waiter)
    {
        lock (_lock)
            _waiters?.Remove(waiter);
    }

    private sealed class Waiter(OffsetWaiters owner, long offset)
        : TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        private CancellationTokenRegistration _registration;
        private ITimer? _timer;

        public long Offset => offset;

        public void Arm(TimeProvider time, TimeSpan timeout, CancellationToken cancellationToken)
        {
            if (timeout != Timeout.InfiniteTimeSpan)
            {
                Volatile.Write(
                    ref _timer,
                    time.CreateTimer(static state => ((Waiter)state!).Complete(false), this, timeout, Timeout.InfiniteTimeSpan));
            }

            _registration = cancellationToken.UnsafeRegister(static state => ((Waiter)state!).Complete(false), this);
            if (Task.IsCompleted)
                Disarm();
        }

        /// <summary>Only the first call decides the answer.</summary>
        public void Complete(bool reached)
        {
            if (!reached)
                owner.Forget(this);

            Disarm();
            TrySetResult(reached);
        }

        private void Disarm()
        {
            Volatile.Read(ref _timer)?.Dispose();
            _registration.Unregister();
        }
    }
}
