namespace Arus.Cli.Tests;

public sealed class LatencyMeterTests
{
    [Fact]
    public void What_was_due_during_the_warm_up_does_not_count()
    {
        var meter = new LatencyMeter(TimeSpan.FromSeconds(5));
        meter.Record(due: TimeSpan.Zero, now: TimeSpan.FromSeconds(2));

        // Due before the end of the warm-up, and late because of it.
        meter.Record(due: TimeSpan.FromSeconds(4.9), now: TimeSpan.FromSeconds(9));
        meter.Record(due: TimeSpan.FromSeconds(5), now: TimeSpan.FromSeconds(5.25));
        Assert.Equal((2, 1, 3), (meter.WarmupRecords, meter.MeasuredRecords, meter.Count));
        Assert.InRange(meter.Max.TotalMilliseconds, 250, 250.25);
    }

    [Fact]
    public void Percentiles_are_right_to_a_thousandth()
    {
        var meter = new LatencyMeter(TimeSpan.Zero);
        for (int i = 1; i <= 10_000; i++)
            meter.Record(TimeSpan.Zero, TimeSpan.FromMicroseconds(i * 10));

        Assert.InRange(meter.Percentile(50).TotalMicroseconds, 50_000, 50_050);
        Assert.InRange(meter.Percentile(99).TotalMicroseconds, 99_000, 99_099);
    }

    [Fact]
    public void Without_a_warm_up_everything_counts()
    {
        var meter = new LatencyMeter(TimeSpan.Zero);
        meter.Record(TimeSpan.Zero, TimeSpan.FromMilliseconds(3));
        Assert.Equal((0, 1), (meter.WarmupRecords, meter.MeasuredRecords));
    }
}
