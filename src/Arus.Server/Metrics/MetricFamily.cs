using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Arus.Server;

internal enum MetricKind
{
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

/// <summary>One instrument's measurements, a series for each set of labels.</summary>
internal sealed class MetricFamily
{
    /// <summary>Sets of labels beyond this many share one series, labelled <c>overflow="true"</c>.</summary>
    private const int MaxSeries = 200;

    private static readonly double[] s_secondsBuckets = [.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10];
    private static readonly double[] s_otherBuckets = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

    private readonly ConcurrentDictionary<string, Series> _series = new(StringComparer.Ordinal);
    private readonly string _help;
    private readonly bool _absolute;
    private readonly double[] _bounds = [];

    public MetricFamily(Instrument instrument)
    {
        Type type = instrument.GetType().GetGenericTypeDefinition();
        Kind = type == typeof(Counter<>) || type == typeof(ObservableCounter<>) ? MetricKind.Counter
            : type == typeof(Histogram<>) ? MetricKind.Histogram
            : MetricKind.Gauge;
        _absolute = instrument.IsObservable || type == typeof(Gauge<>);
        Name = NameOf(instrument, Kind);
        _help = instrument.Description ?? "";
        if (Kind == MetricKind.Histogram)
        {
            _bounds = Bounds(instrument) ?? (instrument.Unit == "s" ? s_secondsBuckets : s_otherBuckets);
        }
    }

    public string Name { get; }

    public MetricKind Kind { get; }

    public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        string labels = Labels(tags);
        if (!_series.TryGetValue(labels, out Series? series))
        {
            string key = _series.Count < MaxSeries ? labels : "overflow=\"true\"";
            series = _series.GetOrAdd(key, static (_, bounds) => new Series(bounds.Length + 1), _bounds);
        }

        lock (series)
        {
            series.Sum = _absolute ? value : series.Sum + value;
            if (Kind == MetricKind.Histogram)
            {
                int bucket = Array.BinarySearch(_bounds, value);
                series.Buckets[bucket < 0 ? ~bucket : bucket]++;
            }
        }
    }

    public void WriteHead(TextWriter writer)
    {
        if (_help.Length > 0)
        {
            writer.Write($"# HELP {Name} {_help.Replace("\\", "\\\\").Replace("\n", "\\n")}\n");
        }

        writer.Write($"# TYPE {Name} {Kind.ToString().ToLowerInvariant()}\n");
    }

    public void WriteSamples(TextWriter writer)
    {
        foreach ((string labels, Series series) in _series.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            lock (series)
            {
                if (Kind == MetricKind.Histogram)
                {
                    WriteHistogram(writer, labels, series);
                }
                else
                {
                    WriteSample(writer, Name, labels, series.Sum);
                }
            }
        }
    }

    private void WriteHistogram(TextWriter writer, string labels, Series series)
    {
        long count = 0;
        string comma = labels.Length > 0 ? "," : "";
        for (int i = 0; i <= _bounds.Length; i++)
        {
            count += series.Buckets[i];
            string bound = i < _bounds.Length ? Number(_bounds[i]) : "+Inf";
            WriteSample(writer, Name + "_bucket", $"{labels}{comma}le=\"{bound}\"", count);
        }

        WriteSample(writer, Name + "_sum", labels, series.Sum);
        WriteSample(writer, Name + "_count", labels, count);
    }

    private static void WriteSample(TextWriter writer, string name, string labels, double value) =>
        writer.Write(labels.Length > 0 ? $"{name}{{{labels}}} {Number(value)}\n" : $"{name} {Number(value)}\n");

    private static string Number(double value) =>
        double.IsPositiveInfinity(value) ? "+Inf" : double.IsNegativeInfinity(value) ? "-Inf" : value.ToString("R", CultureInfo.InvariantCulture);

    private static double[]? Bounds(Instrument instrument) => instrument switch
    {
        Histogram<double> { Advice.HistogramBucketBoundaries: { Count: > 0 } bounds } => [.. bounds],
        Histogram<long> { Advice.HistogramBucketBoundaries: { Count: > 0 } bounds } => [.. bounds.Select(bound => (double)bound)],
        Histogram<int> { Advice.HistogramBucketBoundaries: { Count: > 0 } bounds } => [.. bounds.Select(bound => (double)bound)],
        _ => null,
    };

    /// <summary>Dots become underscores; a unit and, for counters, <c>_total</c> are appended, as Prometheus' conventions have it.</summary>
    private static string NameOf(Instrument instrument, MetricKind kind)
    {
        var name = new StringBuilder();
        foreach (char c in instrument.Name)
        {
            name.Append(char.IsAsciiLetterOrDigit(c) ? c : '_');
        }

        string unit = instrument.Unit switch { "s" => "_seconds", "ms" => "_milliseconds", "By" => "_bytes", _ => "" };
        if (unit.Length > 0 && !name.ToString().EndsWith(unit, StringComparison.Ordinal))
        {
            name.Append(unit);
        }

        return kind == MetricKind.Counter ? name.Append("_total").ToString() : name.ToString();
    }

    private static string Labels(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (tags.Length == 0)
        {
            return "";
        }

        var text = new StringBuilder();
        foreach ((string key, object? value) in tags)
        {
            text.Append(text.Length > 0 ? "," : "");
            foreach (char c in key)
            {
                text.Append(char.IsAsciiLetterOrDigit(c) ? c : '_');
            }

            string written = Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";
            text.Append("=\"").Append(written.Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("\n", "\\n")).Append('"');
        }

        return text.ToString();
    }

    private sealed class Series(int buckets)
    {
        public double Sum { get; set; }

        public long[] Buckets { get; } = new long[buckets];
    }
}
