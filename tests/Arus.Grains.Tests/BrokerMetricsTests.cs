using System.Diagnostics.Metrics;

namespace Arus.Grains.Tests;

public sealed class BrokerMetricsTests
{
    [Fact]
    public void An_entry_that_is_refused_does_not_hide_the_bytes_of_the_others()
    {
        using var metrics = new BrokerMetrics(TimeProvider.System);
        var sums = new Dictionary<string, long>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (ReferenceEquals(instrument.Meter, metrics.Meter))
                    self.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, _, _) =>
            sums[instrument.Name] = sums.GetValueOrDefault(instrument.Name) + value);
        listener.Start();
        metrics.Appended(
            metrics.Started(), [new byte[100], new byte[7], new byte[20]],
            [new(ErrorCode.None, 0, -1), new(ErrorCode.CorruptMessage, -1, -1), new(ErrorCode.None, 1, -1)]);
        Assert.Equal(
            (120L, 2L, 1L),
            (sums["arus.partition.appended"], sums["arus.partition.append.batches"], sums["arus.partition.append.errors"]));
    }
}
