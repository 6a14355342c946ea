using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace Arus.Server;

/// <summary>
/// Collects what the process's meters measure and writes it in Prometheus' text format
/// (<see href="https://prometheus.io/docs/instrumenting/exposition_formats/"/>, version 0.0.4). Safe for use by any thread.
/// </summary>
internal sealed class PrometheusMetrics : IDisposable
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>The first part of the names of the meters that are listened to.</summary>
    private static readonly string[] s_meters = ["Arus.", "Microsoft.Orleans", "System.Runtime", "Microsoft.AspNetCore.Server.Kestrel"];

    private readonly MeterListener _listener = new();
    private readonly ConcurrentDictionary<Instrument, MetricFamily> _families = new();

    public PrometheusMetrics(Func<Meter, bool>? filter = null)
    {
        filter ??= meter => s_meters.Any(prefix => meter.Name.StartsWith(prefix, StringComparison.Ordinal));
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (filter(instrument.Meter))
            {
                MetricFamily family = _families.GetOrAdd(instrument, static one => new MetricFamily(one));
                listener.EnableMeasurementEvents(instrument, family);
            }
        };
        _listener.MeasurementsCompleted = (instrument, _) => _families.TryRemove(instrument, out MetricFamily? _);
        _listener.SetMeasurementEventCallback<byte>(static (_, value, tags, family) => Record(value, tags, family));
        _listener.SetMeasurementEventCallback<short>(static (_, value, tags, family) => Record(value, tags, family));
        _listener.SetMeasurementEventCallback<int>(static (_, value, tags, family) => Record(value, tags, family));
        _listener.SetMeasurementEventCallback<long>(static (_, value, tags, family) => Record(value, tags, family));
        _listener.SetMeasurementEventCallback<float>(static (_, value, tags, family) => Record(value, tags, family));
        _listener.SetMeasurementEventCallback<double>(static (_, value, tags, family) => Record(value, tags, family));
        _listener.SetMeasurementEventCallback<decimal>(static (_, value, tags, family) => Record((double)value, tags, family));
        _listener.Start();
    }

    public void WriteTo(TextWriter writer)
    {
        _listener.RecordObservableInstruments();
        foreach (IGrouping<string, MetricFamily> same in _families.Values.GroupBy(family => family.Name).OrderBy(group => group.Key, StringComparer.Ordinal))
        {
            // Several instruments may bear one name, but the format allows its head only once; the first says what kind it is.
            MetricFamily first = same.First();
            first.WriteHead(writer);
            foreach (MetricFamily family in same.Where(family => family.Kind == first.Kind))
            {
                family.WriteSamples(writer);
            }
        }
    }

    public void Dispose() => _listener.Dispose();

    private static void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? family) =>
        ((MetricFamily)family!).Record(value, tags);
}
