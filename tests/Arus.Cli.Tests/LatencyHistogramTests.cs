namespace Arus.Cli.Tests;

public sealed class LatencyHistogramTests
{
    [Fact]
    public void Percentiles_are_right_within_the_width_of_a_bucket()
    {
        var histogram = new LatencyHistogram();
        for (int i = 1; i <= 10_000; i++)
        {
            histogram.Record(TimeSpan.FromMicroseconds(i * 10));
        }

        Assert.Equal(10_000, histogram.Count);
        Assert.InRange(histogram.Percentile(0.5).TotalMicroseconds, 50_000, 50_000 * 33 / 32.0);
        Assert.InRange(histogram.Percentile(0.99).TotalMicroseconds, 99_000, 99_000 * 33 / 32.0);
        Assert.Equal(TimeSpan.FromMicroseconds(100_000), histogram.Max);
    }

    [Fact]
    public void Small_latencies_are_exact()
    {
        var histogram = new LatencyHistogram();
        histogram.Record(TimeSpan.FromMicroseconds(3));
        Assert.Equal(3, histogram.Percentile(1).TotalMicroseconds);
    }
}
