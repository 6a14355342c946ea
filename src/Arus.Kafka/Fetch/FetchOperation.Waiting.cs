using Arus.Grains;

namespace Arus.Kafka;

/// <content>Waiting for more than there was at first.</content>
internal sealed partial class FetchOperation
{
    private async Task WaitAsync(CancellationToken closed)
    {
        _waiters.Subscribe(_signal);

        // The timer says when the time is up, not the clock: timers go by a coarser one and may be a moment early by the other.
        await using ITimer timer = _time.CreateTimer(
            static operation => ((FetchOperation)operation!).OnLate(), this, _limits.MaxWait, Timeout.InfiniteTimeSpan);
        await using CancellationTokenRegistration registration = closed.UnsafeRegister(static signal => ((AsyncSignal)signal!).Set(), _signal);
        try
        {
            var waits = new FetchWaiter?[_positions.Length];
            for (int i = 0; i < _positions.Length; i++)
            {
                waits[i] = Wait(i);
            }

            while (!closed.IsCancellationRequested && !_isLate)
            {
                await _signal.WaitAsync();
                await TakeAsync(waits);
                if (IsEnough())
                {
                    return;
                }
            }
        }
        finally
        {
            _waiters.Unsubscribe(_signal);
        }
    }

    private void OnLate()
    {
        _isLate = true;
        _signal.Set();
    }

    /// <summary>Takes over what the calls that ended have brought, and begins new ones for them if that is not enough.</summary>
    /// <param name="waits">Null for a partition that is not waited for any more.</param>
    private async Task TakeAsync(FetchWaiter?[] waits)
    {
        List<int>? again = null;
        for (int i = 0; i < waits.Length; i++)
        {
            if (waits[i] is not { Call.IsCompleted: true } wait)
            {
                continue;
            }

            if (wait.Call.IsCompletedSuccessfully && wait.Request.Offset == _positions[i].Offset && wait.Request.Isolation == _limits.Isolation)
            {
                _results[i] = wait.Call.Result;
            }
            else
            {
                // It waited elsewhere, or failed: ask at the client's own position.
                (again ??= []).Add(i);
            }
        }

        if (again is not null)
        {
            await ReadAgainAsync(again, waits);
        }

        if (IsEnough())
        {
            return;
        }

        for (int i = 0; i < waits.Length; i++)
        {
            if (waits[i] is { Call.IsCompleted: true })
            {
                waits[i] = Wait(i);
            }
        }
    }

    /// <summary>
    /// Reads where something has happened after what was read. A partition that gives no more than before has filled its share, and what
    /// follows there is no reason to ask again before the client does.
    /// </summary>
    private async Task ReadAgainAsync(List<int> indexes, FetchWaiter?[] waits)
    {
        long?[] ends = [.. indexes.Select(index => EndOf(_results[index]!))];
        await ReadAsync(indexes);
        for (int i = 0; i < ends.Length; i++)
        {
            int index = indexes[i];
            if (waits[index]!.Call.IsCompletedSuccessfully && waits[index]!.Request.Offset == ends[i] && EndOf(_results[index]!) == ends[i]
                && waits[index]!.Call.Result is ({ Error: not ErrorCode.None } or { Records.SizeInBytes: > 0 }))
            {
                waits[index] = null;
            }
        }
    }

    /// <summary>Waits where the records end that are there already.</summary>
    private FetchWaiter Wait(int index)
    {
        FetchPosition position = _positions[index];
        PartitionReadResult known = _results[index]!;
        long offset = EndOf(known) ?? position.Offset;
        return _waiters.GetOrStart(
            position.Partition,
            new PartitionRead(offset, position.LeaderEpoch, Math.Min(position.MaxBytes, _limits.MaxBytes), true, 0, _limits.Isolation),
            known with { Records = [] });
    }
}
