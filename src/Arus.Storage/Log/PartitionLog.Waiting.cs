namespace Arus.Storage;

/// <content>Appends that wait for room, when more is taken in than the disk writes.</content>
internal sealed partial class PartitionLog
{
    /// <summary>Calls that may wait for room; callers keep few in flight, so more are refused.</summary>
    private const int MaxWaitingAppends = 4096;

    /// <summary>Guarded by the append lock.</summary>
    private Queue<PendingAppend>? _waiting;

    /// <summary>Tells the I/O thread without the lock whether there are any.</summary>
    private int _waitingCount;

    private ValueTask<LogAppendResult[]> WaitForRoom(PendingAppend append)
    {
        _waiting ??= new Queue<PendingAppend>();
        if (_waiting.Count >= MaxWaitingAppends)
        {
            string message = $"{Partition} has {MaxWaitingAppends} appends waiting for the disk; try again later.";
            Array.Fill(append.Results, LogAppendResult.Refused(ErrorCode.RequestTimedOut, message));
            return new ValueTask<LogAppendResult[]>(append.Results);
        }

        _waiting.Enqueue(append);
        Volatile.Write(ref _waitingCount, _waiting.Count);
        ScheduleIo(); // The room may have come just before this one was counted.
        return append.AsValueTask();
    }

    /// <summary>Takes in what there is room for now. On the I/O thread.</summary>
    private void AdmitWaiting()
    {
        if (Volatile.Read(ref _waitingCount) == 0)
        {
            return;
        }

        List<PendingAppend>? done = null;
        bool schedule = false;
        lock (_appendLock)
        {
            while (_waiting is { Count: > 0 } && (Interlocked.Read(ref _pendingBytes) < _shared.Options.MaxPendingBytes || _failure is not null))
            {
                PendingAppend append = _waiting.Dequeue();
                Volatile.Write(ref _waitingCount, _waiting.Count);
                if (TryAdmit(append))
                {
                    schedule = true;
                }
                else
                {
                    (done ??= []).Add(append);
                }
            }
        }

        done?.ForEach(append => append.Complete());
        if (schedule)
        {
            ScheduleIo();
        }
    }

    /// <summary>False when the append is answered already. What it throws has failed the log, and has no caller here to go to.</summary>
    private bool TryAdmit(PendingAppend append)
    {
        try
        {
            return !RefuseAll(append) && Admit(append);
        }
        catch (Exception error)
        {
            Array.Fill(append.Results, LogAppendResult.Refused(ErrorCode.KafkaStorageError, $"The log of {Partition} failed: {error.Message}"));
            return false;
        }
    }
}
