using HdrHistogram;

namespace Arus.Cli;

/// <summary>
/// A histogram of latencies, right to a thousandth, without those of records that were due while the program warmed up: its code is
/// compiled in the first seconds, which says nothing of the cluster. One writer at a time.
/// </summary>
internal sealed class LatencyMeter(TimeSpan warmup)
{
    private const int SignificantDigits = 3;
    private const long MaxMicroseconds = 3_600_000_000;

    private readonly LongHistogram _microseconds = new(MaxMicroseconds, SignificantDigits);

    /// <summary>Records that are not measured.</summary>
    public long WarmupRecords { get; private set; }

    public long MeasuredRecords => _microseconds.TotalCount;

    /// <summary>All records, those of the warm-up included.</summary>
    public long Count => WarmupRecords + MeasuredRecords;

    public TimeSpan Max => TimeSpan.FromMicroseconds(_microseconds.GetMaxValue());

    /// <summary>A record has arrived.</summary>
    /// <param name="due">When it was due, since the start.</param>
    /// <param name="now">The time since the start.</param>
    public void Record(TimeSpan due, TimeSpan now)
    {
        if (due < warmup)
            WarmupRecords++;
        else
            _microseconds.RecordValue(Math.Clamp((long)(now - due).TotalMicroseconds, 0, MaxMicroseconds));
    }

    /// <param name="percentile">From 0 to 100.</param>
    public TimeSpan Percentile(double percentile) => TimeSpan.FromMicroseconds(_microseconds.GetValueAtPercentile(percentile));
}
