namespace Arus.Cli;

/// <summary>
/// Collects latencies, but for those of records that were due while the program warmed up: its code is compiled in the first seconds,
/// which says nothing of the cluster. One writer at a time.
/// </summary>
internal sealed class LatencyMeter(TimeSpan warmup)
{
    public LatencyHistogram Histogram { get; } = new();

    /// <summary>Records that do not count.</summary>
    public long WarmupRecords { get; private set; }

    /// <summary>All records, those of the warm-up included.</summary>
    public long Count => WarmupRecords + Histogram.Count;

    /// <summary>A record has arrived.</summary>
    /// <param name="due">When it was due, since the start.</param>
    /// <param name="now">The time since the start.</param>
    public void Record(TimeSpan due, TimeSpan now)
    {
        if (due < warmup)
        {
            WarmupRecords++;
        }
        else
        {
            Histogram.Record(now - due);
        }
    }
}
