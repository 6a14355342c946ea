namespace Orleans.Runtime;

/// <summary>The calls that wait for an answer. Safe for concurrent use.</summary>
internal sealed class CallTable : IDisposable
{
    private const int Shards = 16;
    private static readonly TimeSpan PollPeriod = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan ScanPeriod = TimeSpan.FromMilliseconds(50);

    private readonly Dictionary<long, PendingCall>[] _shards = [.. Enumerable.Range(0, Shards).Select(_ => new Dictionary<long, PendingCall>())];
    private readonly Timer _timer;
    private long _lastId;
    private volatile bool _stopped;

    public CallTable() => _timer = new Timer(static state => ((CallTable)state!).FailExpired(), this, ScanPeriod, ScanPeriod);

    public void Add(PendingCall call)
    {
        call.Id = Interlocked.Increment(ref _lastId);
        Dictionary<long, PendingCall> shard = ShardOf(call.Id);
        lock (shard)
        {
            shard.Add(call.Id, call);
        }

        if (_stopped)
        {
            call.Fail(new OrleansMessageRejectionException("The silo or client has been stopped."));
        }
    }

    public bool TryRemove(PendingCall call) => Take(call.Id) is not null;

    /// <summary>The call with that id, which leaves the table; null if it has had its answer.</summary>
    public PendingCall? Take(long id)
    {
        Dictionary<long, PendingCall> shard = ShardOf(id);
        lock (shard)
        {
            return shard.Remove(id, out PendingCall? call) ? call : null;
        }
    }

    /// <summary>Fails each call that matches.</summary>
    public void Fail(Func<PendingCall, bool> match, Func<PendingCall, Exception> reason)
    {
        foreach (Dictionary<long, PendingCall> shard in _shards)
        {
            List<PendingCall>? matching = null;
            lock (shard)
            {
                foreach (PendingCall call in shard.Values)
                {
                    if (match(call))
                    {
                        (matching ??= []).Add(call);
                    }
                }
            }

            matching?.ForEach(call => call.Fail(reason(call)));
        }
    }

    /// <summary>Waits, at most so long, until no call matches.</summary>
    public async Task UntilNoneAsync(Func<PendingCall, bool> match, TimeSpan limit)
    {
        long end = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        while (Environment.TickCount64 < end && Array.Exists(_shards, shard =>
        {
            lock (shard)
            {
                return shard.Values.Any(match);
            }
        }))
        {
            await Task.Delay(PollPeriod);
        }
    }

    public void Dispose()
    {
        _stopped = true;
        _timer.Dispose();
        Fail(_ => true, _ => new OrleansMessageRejectionException("The silo or client has been stopped."));
    }

    private void FailExpired()
    {
        long now = Environment.TickCount64;
        Fail(call => now > call.Deadline, call => new TimeoutException(
            $"Response did not arrive on time in {TimeSpan.FromMilliseconds(call.TimeoutMs)} for message: {call.Description}."));
    }

    private Dictionary<long, PendingCall> ShardOf(long id) => _shards[id & (Shards - 1)];
}
