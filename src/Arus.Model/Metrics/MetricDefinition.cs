using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Arus;

/// <summary>The kind of a metric's instrument.</summary>
public enum MetricKind
{
    Counter = 0,
    UpDownCounter = 1,
    Gauge = 2,
    Histogram = 3,
}

/// <summary>
/// A metric of the broker, from which its instrument is created and its row in docker/METRICS.md is written. Names follow OpenTelemetry:
/// <c>arus</c>, the part of the broker and what is measured, in lower case with dots between; the unit is no part of the name.
/// </summary>
/// <param name="Unit">In UCUM: <c>By</c>, <c>s</c>, or what is counted, in braces: <c>{request}</c>.</param>
/// <param name="Action">When an operator must act, and how.</param>
/// <param name="Labels">The keys of its labels.</param>
public sealed record MetricDefinition(MetricKind Kind, string Name, string Unit, string Description, string Action, params string[] Labels)
{
    /// <summary>In seconds, from group commits on fast disks to long polls.</summary>
    private static readonly InstrumentAdvice<double> DurationBuckets = new()
    {
        HistogramBucketBoundaries = [.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10],
    };

    /// <summary>The name in Prometheus' text format: underscores for dots, then the unit, and <c>_total</c> for a counter.</summary>
    public string PrometheusName
    {
        get
        {
            string unit = Unit switch { "By" => "_bytes", "s" => "_seconds", _ => "" };
            return $"{Name.Replace('.', '_')}{unit}{(Kind == MetricKind.Counter ? "_total" : "")}";
        }
    }

    public Counter<long> CreateCounter(Meter meter)
    {
        Debug.Assert(Kind == MetricKind.Counter, Name);
        return meter.CreateCounter<long>(Name, Unit, Description);
    }

    public UpDownCounter<long> CreateUpDownCounter(Meter meter)
    {
        Debug.Assert(Kind == MetricKind.UpDownCounter, Name);
        return meter.CreateUpDownCounter<long>(Name, Unit, Description);
    }

    /// <summary>A histogram of durations.</summary>
    public Histogram<double> CreateHistogram(Meter meter)
    {
        Debug.Assert(Kind == MetricKind.Histogram && Unit == "s", Name);
        return meter.CreateHistogram(Name, Unit, Description, advice: DurationBuckets);
    }

    /// <param name="observe">Called by whatever collects the metric, from any thread.</param>
    public ObservableGauge<long> CreateGauge(Meter meter, Func<IEnumerable<Measurement<long>>> observe)
    {
        Debug.Assert(Kind == MetricKind.Gauge, Name);
        return meter.CreateObservableGauge(Name, observe, Unit, Description);
    }
}
