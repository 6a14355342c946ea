using System.Diagnostics;
using System.Diagnostics.Metrics;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>The instruments of the Kafka listener, under the meter <see cref="MeterName"/>, whose name is stable.</summary>
/// <param name="meter">Named <see cref="MeterName"/>.</param>
public sealed class KafkaMetrics(Meter meter)
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

    private static readonly MetricDefinition FetchSessions = new(
        MetricKind.UpDownCounter, "arus.kafka.fetch.sessions", "{session}", "Fetch sessions of clients.",
        "When it stays at max.incremental.fetch.session.cache.slots: raise that; who gets no session names all partitions in each fetch.");

    private static readonly MetricDefinition FetchSessionPartitions = new(
        MetricKind.UpDownCounter, "arus.kafka.fetch.sessions.partitions", "{partition}", "Partitions of all fetch sessions.",
        "Never by itself: it is bounded, at some 200 bytes of memory each.");

    private static readonly MetricDefinition FetchSessionEvictions = new(
        MetricKind.Counter, "arus.kafka.fetch.sessions.evicted", "{session}", "Fetch sessions that made room for others.",
        "When it rises steadily: raise max.incremental.fetch.session.cache.slots.");

    private static readonly KeyValuePair<string, object?>[] ApiTags =
    [
        .. Enumerable.Range(0, ApiCatalog.All.Max(api => (int)api.Key) + 1).Select(
            key => new KeyValuePair<string, object?>(ApiLabel, ApiCatalog.Find((ApiKey)key)?.Key.ToString() ?? "unknown")),
    ];

    private readonly UpDownCounter<long> _connections = Connections.CreateUpDownCounter(meter);
    private readonly Counter<long> _refused = RefusedConnections.CreateCounter(meter);
    private readonly Counter<long> _broken = BrokenConnections.CreateCounter(meter);
    private readonly Counter<long> _received = Received.CreateCounter(meter);
    private readonly Counter<long> _sent = Sent.CreateCounter(meter);
    private readonly Counter<long> _errors = RequestErrors.CreateCounter(meter);
    private readonly UpDownCounter<long> _fetchSessions = FetchSessions.CreateUpDownCounter(meter);
    private readonly UpDownCounter<long> _fetchSessionPartitions = FetchSessionPartitions.CreateUpDownCounter(meter);
    private readonly Counter<long> _fetchSessionEvictions = FetchSessionEvictions.CreateCounter(meter);
    private readonly Histogram<double> _duration = RequestDuration.CreateHistogram(meter);

    public static IReadOnlyList<MetricDefinition> Definitions { get; } =
    [
        Connections, RefusedConnections, BrokenConnections, Received, Sent, RequestErrors, RequestDuration, FetchSessions,
        FetchSessionPartitions, FetchSessionEvictions,
    ];

    internal void ConnectionOpened() => _connections.Add(1);

    internal void ConnectionClosed() => _connections.Add(-1);

    internal void ConnectionRefused() => _refused.Add(1);

    internal void ConnectionBroken() => _broken.Add(1);

    internal void FetchSessionsChanged(int sessions, int partitions)
    {
        _fetchSessions.Add(sessions);
        _fetchSessionPartitions.Add(partitions);
    }

    internal void FetchSessionEvicted() => _fetchSessionEvictions.Add(1);

    internal void RequestRead(ApiKey api, int bytes) => _received.Add(bytes, ApiTags[(int)api]);

    internal void RequestFailed(ApiKey api) => _errors.Add(1, ApiTags[(int)api]);

    internal void RequestDone(ApiKey api, int bytes, TimeSpan duration)
    {
        _sent.Add(bytes, ApiTags[(int)api]);
        _duration.Record(duration.TotalSeconds, ApiTags[(int)api]);
    }
}
