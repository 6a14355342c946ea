using System.Diagnostics.Metrics;

namespace Arus.Server.Tests;

public sealed class PrometheusMetricsTests : IDisposable
{
    private readonly Meter _meter = new($"Test.{Guid.NewGuid():n}");
    private readonly PrometheusMetrics _metrics;

    public PrometheusMetricsTests() => _metrics = new PrometheusMetrics(meter => meter.Name == _meter.Name);

    [Fact]
    public void Counters_gauges_and_histograms_are_written_in_the_text_format()
    {
        Counter<long> bytes = _meter.CreateCounter<long>("arus.append.bytes", "By", "Bytes \\ appended.\nAll of them.");
        bytes.Add(5);
        bytes.Add(7, new KeyValuePair<string, object?>("listener.name", "a\"b\\c\nd"));
        bytes.Add(2);
        _meter.CreateObservableUpDownCounter("arus.partitions.open", () => 3);
        Histogram<double> seconds = _meter.CreateHistogram(
            "arus.append.duration", "s", advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.1, 1] });
        seconds.Record(0.1);
        seconds.Record(0.5);
        seconds.Record(3);

        Assert.Equal(
            """
            # HELP arus_append_bytes_total Bytes \\ appended.\nAll of them.
            # TYPE arus_append_bytes_total counter
            arus_append_bytes_total 7
            arus_append_bytes_total{listener_name="a\"b\\c\nd"} 7
            # TYPE arus_append_duration_seconds histogram
            arus_append_duration_seconds_bucket{le="0.1"} 1
            arus_append_duration_seconds_bucket{le="1"} 2
            arus_append_duration_seconds_bucket{le="+Inf"} 3
            arus_append_duration_seconds_sum 3.6
            arus_append_duration_seconds_count 3
            # TYPE arus_partitions_open gauge
            arus_partitions_open 3

            """.ReplaceLineEndings("\n"),
            Text());
    }

    [Fact]
    public void What_is_observed_replaces_what_was_observed_before()
    {
        long value = 10;
        _meter.CreateObservableCounter("observed", () => value);
        Assert.Contains("\nobserved_total 10\n", Text());
        value = 12;
        Assert.Contains("\nobserved_total 12\n", Text());
    }

    [Fact]
    public void Two_instruments_of_one_name_share_a_head()
    {
        _meter.CreateCounter<long>("twice", description: "x").Add(1);
        _meter.CreateCounter<long>("twice", description: "x", unit: "{things}").Add(2, new KeyValuePair<string, object?>("a", 1));
        Assert.Single(Text().Split('\n'), line => line == "# TYPE twice_total counter");
    }

    [Fact]
    public void The_number_of_series_is_bounded()
    {
        Counter<int> many = _meter.CreateCounter<int>("many");
        for (int i = 0; i < 1_000; i++)
        {
            many.Add(1, new KeyValuePair<string, object?>("i", i));
        }

        string[] lines = [.. Text().Split('\n').Where(line => line.StartsWith("many_total{", StringComparison.Ordinal))];
        Assert.Equal(201, lines.Length);
        Assert.Contains("many_total{overflow=\"true\"} 800", lines);
    }

    public void Dispose()
    {
        _metrics.Dispose();
        _meter.Dispose();
    }

    private string Text()
    {
        using var text = new StringWriter();
        _metrics.WriteTo(text);
        return text.ToString();
    }
}
