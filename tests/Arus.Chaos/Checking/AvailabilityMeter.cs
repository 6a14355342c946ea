namespace Arus.Chaos;

/// <summary>A time without an acknowledgement; <see cref="Partition"/> and <see cref="Client"/> are null where all are meant.</summary>
internal readonly record struct Gap(string? Client, int? Partition, TimeSpan Start, TimeSpan End)
{
    public TimeSpan Length => End - Start;
}

/// <summary>
/// Remembers when acknowledgements stayed away: of the whole topic, of each partition, and of each partition for each kind of client.
/// Thread-safe.
/// </summary>
internal sealed class AvailabilityMeter
{
    /// <summary>What is shorter is no outage, and there would be many.</summary>
    private static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(300);

    private readonly Lock _lock = new();
    private readonly TimeProvider _time;
    private readonly long _start;
    private readonly Dictionary<(string? Client, int? Partition), TimeSpan> _last = [];
    private readonly List<Gap> _gaps = [];

    /// <param name="clients">The kinds of clients that will acknowledge, so that one that never does is told, too.</param>
    public AvailabilityMeter(TimeProvider time, IEnumerable<string> clients, int partitions)
    {
        (_time, _start, Partitions) = (time, time.GetTimestamp(), partitions);
        _last[(null, null)] = TimeSpan.Zero;
        for (int partition = 0; partition < partitions; partition++)
        {
            _last[(null, partition)] = TimeSpan.Zero;
            foreach (string client in clients)
                _last[(client, partition)] = TimeSpan.Zero;
        }
    }

    public int Partitions { get; }

    /// <summary>Time since the start.</summary>
    public TimeSpan Now => _time.GetElapsedTime(_start);

    /// <summary>Whether every kind of client has had an acknowledgement in every partition.</summary>
    public bool HasBegun
    {
        get
        {
            lock (_lock)
                return _last.Values.All(last => last > TimeSpan.Zero);
        }
    }

    public void Acknowledge(string client, int partition)
    {
        lock (_lock)
        {
            TimeSpan now = Now;
            Advance((null, null), now);
            Advance((null, partition), now);
            Advance((client, partition), now);
        }
    }

    /// <summary>All gaps up to now, also those that have not ended.</summary>
    public IReadOnlyList<Gap> Gaps()
    {
        lock (_lock)
        {
            TimeSpan now = Now;
            IEnumerable<Gap> open = _last.Where(entry => now - entry.Value >= Shortest)
                .Select(entry => new Gap(entry.Key.Client, entry.Key.Partition, entry.Value, now));
            return [.. _gaps, .. open];
        }
    }

    private void Advance((string? Client, int? Partition) series, TimeSpan now)
    {
        if (now - _last[series] >= Shortest)
            _gaps.Add(new Gap(series.Client, series.Partition, _last[series], now));

        _last[series] = now;
    }
}
