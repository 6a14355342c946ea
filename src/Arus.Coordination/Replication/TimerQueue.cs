namespace Arus.Coordination.Replication;

/// <summary>What wants to be looked at when its time has come.</summary>
internal interface ITimed
{
    /// <summary>The next time for which it is in the queue; <see cref="long.MaxValue"/> for none. Only the queue sets it.</summary>
    long ArmedAtMs { get; set; }
}

/// <summary>When what is due. Each thing has its earliest time only: whoever is looked at arms itself again for what is left.</summary>
internal sealed class TimerQueue
{
    private readonly PriorityQueue<ITimed, long> _queue = new();

    public void Arm(ITimed timed, long dueMs)
    {
        if (dueMs >= timed.ArmedAtMs)
            return;

        timed.ArmedAtMs = dueMs;
        _queue.Enqueue(timed, dueMs);
    }

    /// <summary>The next thing that is due, which is not armed any more; null for none.</summary>
    public ITimed? TakeDue(long nowMs)
    {
        if (NextMs() > nowMs)
            return null;

        ITimed timed = _queue.Dequeue();
        timed.ArmedAtMs = long.MaxValue;
        return timed;
    }

    /// <summary><see cref="long.MaxValue"/> for never.</summary>
    public long NextMs()
    {
        while (_queue.TryPeek(out ITimed? timed, out long dueMs))
        {
            if (timed.ArmedAtMs == dueMs)
                return dueMs;

            _queue.Dequeue();
        }

        return long.MaxValue;
    }
}
