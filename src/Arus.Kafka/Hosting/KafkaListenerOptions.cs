namespace Arus.Kafka;

/// <summary>The limits of the Kafka listener, taken from a broker's configuration. Immutable.</summary>
public sealed record KafkaListenerOptions
{
    /// <summary>The largest request that is read, in bytes (<c>socket.request.max.bytes</c>).</summary>
    public int MaxRequestBytes { get; init; } = 100 * 1024 * 1024;

    /// <summary>How many connections are held at once (<c>max.connections</c>).</summary>
    public int MaxConnections { get; init; } = 10_000;

    /// <summary>How many connections are held at once from one address (<c>max.connections.per.ip</c>).</summary>
    public int MaxConnectionsPerAddress { get; init; } = int.MaxValue;

    /// <summary>A connection without a request for this long is closed (<c>connections.max.idle.ms</c>).</summary>
    public TimeSpan MaxIdle { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// A connection is closed when a request takes longer than this from its first byte to its last
    /// (<c>arus.request.receive.timeout.ms</c>).
    /// </summary>
    public TimeSpan MaxReceiveTime { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Memory for large requests of all connections, in bytes (<c>queued.max.request.bytes</c>).</summary>
    public long MaxQueuedBytes { get; init; } = 256L * 1024 * 1024;

    /// <summary>How many requests of one connection are handled at once (<c>arus.connection.max.in.flight.requests</c>).</summary>
    public int MaxInFlightRequests { get; init; } = 100;

    /// <summary>
    /// Bytes of one connection's requests that are handled at once (<c>arus.connection.max.in.flight.bytes</c>). A request that alone is
    /// larger is handled alone.
    /// </summary>
    public long MaxInFlightBytes { get; init; } = 16L * 1024 * 1024;

    /// <summary>Bytes that wait for one partition's append (<c>arus.partition.max.queued.bytes</c>).</summary>
    public long MaxPartitionQueueBytes { get; init; } = 32L * 1024 * 1024;

    /// <summary>The most bytes that one fetch answers (<c>fetch.max.bytes</c>).</summary>
    public int MaxFetchBytes { get; init; } = 55 * 1024 * 1024;

    /// <summary>Whether a topic that a client asks for is created (<c>auto.create.topics.enable</c>).</summary>
    public bool AutoCreateTopics { get; init; } = true;

    public static KafkaListenerOptions FromConfig(BrokerConfig config) => new()
    {
        MaxRequestBytes = config.GetInt(BrokerConfigs.SocketRequestMaxBytes),
        MaxConnections = config.GetInt(BrokerConfigs.MaxConnections),
        MaxConnectionsPerAddress = config.GetInt(BrokerConfigs.MaxConnectionsPerIp),
        MaxIdle = config.GetMilliseconds(BrokerConfigs.ConnectionsMaxIdleMs),
        MaxReceiveTime = config.GetMilliseconds(BrokerConfigs.RequestReceiveTimeoutMs),
        MaxQueuedBytes = config.GetLong(BrokerConfigs.QueuedMaxRequestBytes),
        MaxInFlightRequests = config.GetInt(BrokerConfigs.ConnectionMaxInFlightRequests),
        MaxInFlightBytes = config.GetLong(BrokerConfigs.ConnectionMaxInFlightBytes),
        MaxPartitionQueueBytes = config.GetLong(BrokerConfigs.PartitionMaxQueuedBytes),
        MaxFetchBytes = config.GetInt(BrokerConfigs.FetchMaxBytes),
        AutoCreateTopics = config.GetBoolean(BrokerConfigs.AutoCreateTopicsEnable),
    };
}
