using System.Diagnostics;
using System.Diagnostics.Metrics;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>The instruments of the Kafka listener, under the meter <see cref="MeterName"/>, whose name is stable.</summary>
public sealed class KafkaMetrics
{
    public const string MeterName = "Arus.Kafka";

    private const string ApiLabel = "api";

    private static readonly MetricDefinition Connections = new(
        MetricKind.UpDownCounter, "arus.kafka.connections", "{connection}", "Open connections of Kafka clients.",
        "When it nears max.connections: raise that, or find the clients that do not close theirs.");

    private static readonly MetricDefinition RefusedConnections = new(
        MetricKind.Counter, "arus.kafka.connections.refused", "{connection}", "Connections refused by a limit.",
        "When it rises: max.connections or max.connections.per.ip is reached; the log names it.");

    private static readonly MetricDefinition BrokenConnections = new(
        MetricKind.Counter, "arus.kafka.connections.broken", "{connection}", "Connections ended for a fault.",
        "When it rises: the log says what the clients sent, or what failed.");

    private static readonly MetricDefinition Received = new(
        MetricKind.Counter, "arus.kafka.received", "By", "Bytes of requests.", "Never by itself: it is the load.", ApiLabel);

    private static readonly MetricDefinition Sent = new(
        MetricKind.Counter, "arus.kafka.sent", "By", "Bytes of responses.", "Never by itself: it is the load.", ApiLabel);

    private static readonly MetricDefinition RequestErrors = new(
        MetricKind.Counter, "arus.kafka.errors", "{request}", "Requests that ended their connection because handling them failed.",
        "When it rises: the log says why.", ApiLabel);

    private static readonly MetricDefinition RequestDuration = new(
        MetricKind.Histogram, "arus.kafka.request.duration", "s",
        "Time from a request's last byte to its response; its count is that of the requests. A fetch may wait for records.",
        "When it rises for Produce: see arus.partition.append.duration. For other APIs: the metadata's storage is slow.", ApiLabel);

    private readonly UpDownCounter<long> _connections;
    private readonly Counter<long> _refused;
    private readonly Counter<long> _broken;
    private readonly Counter<long> _received;
    private readonly Counter<long> _sent;
    private readonly Counter<long> _errors;
    private readonly Histogram<double> _duration;
    private readonly KeyValuePair<string, object?>[] _apiTags;

    public KafkaMetrics(IMeterFactory meters)
    {
        Meter meter = meters.Create(MeterName);
        _connections = Connections.CreateUpDownCounter(meter);
        _refused = RefusedConnections.CreateCounter(meter);
        _broken = BrokenConnections.CreateCounter(meter);
        _received = Received.CreateCounter(meter);
        _sent = Sent.CreateCounter(meter);
        _errors = RequestErrors.CreateCounter(meter);
        _duration = RequestDuration.CreateHistogram(meter);
        _apiTags = [.. Enumerable.Range(0, ApiCatalog.All.Max(api => (int)api.Key) + 1).Select(Tag)];
    }

    public static IReadOnlyList<MetricDefinition> Definitions { get; } =
        [Connections, RefusedConnections, BrokenConnections, Received, Sent, RequestErrors, RequestDuration];

    internal void ConnectionOpened() => _connections.Add(1);

    internal void ConnectionClosed() => _connections.Add(-1);

    internal void ConnectionRefused() => _refused.Add(1);

    internal void ConnectionBroken() => _broken.Add(1);

    internal void RequestRead(ApiKey api, int bytes) => _received.Add(bytes, _apiTags[(int)api]);

    internal void RequestFailed(ApiKey api) => _errors.Add(1, _apiTags[(int)api]);

    internal void RequestDone(ApiKey api, int bytes, TimeSpan duration)
    {
        _sent.Add(bytes, _apiTags[(int)api]);
        _duration.Record(duration.TotalSeconds, _apiTags[(int)api]);
    }

    private static KeyValuePair<string, object?> Tag(int key) => new(ApiLabel, ApiCatalog.Find((ApiKey)key)?.Key.ToString() ?? "unknown");
}
