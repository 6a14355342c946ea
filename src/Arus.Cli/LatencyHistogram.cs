using System.Numerics;

namespace Arus.Cli;

/// <summary>
/// Latencies in buckets whose width is at most 1/32 of their value, so that a percentile is right to 3.2 %. Bounded memory, one
/// writer at a time; readers may look meanwhile.
/// </summary>
internal sealed class LatencyHistogram
{
    private const int SubBucketBits = 6;
    private const int SubBuckets = 1 << SubBucketBits;

    private readonly long[] _counts = new long[SubBuckets * (64 - SubBucketBits)];

    public long Count { get; private set; }

    public TimeSpan Max { get; private set; }

    public void Record(TimeSpan latency)
    {
        long microseconds = Math.Max(0, (long)latency.TotalMicroseconds);
        _counts[BucketOf(microseconds)]++;
        Count++;
        Max = latency > Max ? latency : Max;
    }

    /// <param name="fraction">0.99 for the 99th percentile.</param>
    public TimeSpan Percentile(double fraction)
    {
        long rank = Math.Max(1, (long)Math.Ceiling(fraction * Count));
        long seen = 0;
        for (int bucket = 0; bucket < _counts.Length; bucket++)
        {
            seen += _counts[bucket];
            if (seen >= rank)
            {
                return TimeSpan.FromMicroseconds(UpperBoundOf(bucket));
            }
        }

        return TimeSpan.Zero;
    }

    private static int BucketOf(long value)
    {
        int magnitude = Math.Max(0, 63 - BitOperations.LeadingZeroCount((ulong)value) - SubBucketBits + 1);
        return (magnitude << SubBucketBits) + (int)(value >> magnitude);
    }

    private static long UpperBoundOf(int bucket)
    {
        // Above the first two, a magnitude uses only the upper half of its sub-buckets; the lower half is empty.
        int magnitude = bucket >> SubBucketBits;
        long value = bucket & (SubBuckets - 1);
        return ((value + 1) << magnitude) - 1;
    }
}
