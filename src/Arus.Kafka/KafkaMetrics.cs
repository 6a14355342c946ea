using System.Diagnostics;
using System.Diagnostics.Metrics;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>The instruments of the Kafka listener, under the meter <see cref="MeterName"/>, whose name is stable.</summary>
public sealed class KafkaMetrics
{
    public const string MeterName = "Arus.Kafka";

    private readonly UpDownCounter<long> _connections;
    private readonly Counter<long> _refused;
    private readonly Counter<long> _broken;
    private readonly Counter<long> _bytesIn;
    private readonly Counter<long> _bytesOut;
    private readonly Counter<long> _errors;
    private readonly Histogram<double> _duration;
    private readonly KeyValuePair<string, object?>[] _apiTags;

    public KafkaMetrics(IMeterFactory meters)
    {
        Meter meter = meters.Create(MeterName);
        _connections = meter.CreateUpDownCounter<long>("arus.kafka.connections", "{connection}", "Open connections.");
        _refused = meter.CreateCounter<long>("arus.kafka.connections.refused", "{connection}", "Connections refused by a limit.");
        _broken = meter.CreateCounter<long>("arus.kafka.connections.broken", "{connection}", "Connections ended for a fault.");
        _bytesIn = meter.CreateCounter<long>("arus.kafka.received", "By", "Bytes of requests, by API.");
        _bytesOut = meter.CreateCounter<long>("arus.kafka.sent", "By", "Bytes of responses, by API.");
        _errors = meter.CreateCounter<long>("arus.kafka.errors", "{request}", "Requests whose handling failed, by API.");
        _duration = meter.CreateHistogram<double>(
            "arus.kafka.request.duration", "s",
            "Time from a request's last byte to its response, by API; its count is that of the requests.");
        _apiTags = [.. Enumerable.Range(0, ApiCatalog.All.Max(api => (int)api.Key) + 1).Select(Tag)];
    }

    internal void ConnectionOpened() => _connections.Add(1);

    internal void ConnectionClosed() => _connections.Add(-1);

    internal void ConnectionRefused() => _refused.Add(1);

    internal void ConnectionBroken() => _broken.Add(1);

    internal void RequestRead(ApiKey api, int bytes) => _bytesIn.Add(bytes, _apiTags[(int)api]);

    internal void RequestFailed(ApiKey api) => _errors.Add(1, _apiTags[(int)api]);

    internal void RequestDone(ApiKey api, int bytes, TimeSpan duration)
    {
        _bytesOut.Add(bytes, _apiTags[(int)api]);
        _duration.Record(duration.TotalSeconds, _apiTags[(int)api]);
    }

    private static KeyValuePair<string, object?> Tag(int key) => new("api", ApiCatalog.Find((ApiKey)key)?.Key.ToString() ?? "unknown");
}
