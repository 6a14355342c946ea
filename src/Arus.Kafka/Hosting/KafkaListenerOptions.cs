using System.Net;

namespace Arus.Kafka;

/// <summary>The limits of the Kafka listener, read from a broker's configuration. Immutable.</summary>
public sealed record KafkaListenerOptions(BrokerConfig Config)
{
    /// <summary>The largest request that is read, in bytes.</summary>
    public int MaxRequestBytes { get; init; } = Config.GetInt(BrokerConfigs.SocketRequestMaxBytes);

    public int MaxConnections { get; init; } = Config.GetInt(BrokerConfigs.MaxConnections);

    public int MaxConnectionsPerAddress { get; init; } = Config.GetInt(BrokerConfigs.MaxConnectionsPerIp);

    /// <summary>For single addresses, another number.</summary>
    public IReadOnlyDictionary<IPAddress, int> MaxConnectionsPerAddressOverrides { get; init; } =
        ConnectionOverrides.Parse(Config.GetString(BrokerConfigs.MaxConnectionsPerIpOverrides) ?? "");

    /// <summary>How many connections are served anew in a second; more wait, with their place among the connections.</summary>
    public int MaxConnectionCreationRate { get; init; } = Config.GetInt(BrokerConfigs.MaxConnectionCreationRate);

    /// <summary>The most partitions of one DescribeTopicPartitions response.</summary>
    public int MaxRequestPartitions { get; init; } = Config.GetInt(BrokerConfigs.MaxRequestPartitionSizeLimit);

    /// <summary>A connection without a request for this long is closed.</summary>
    public TimeSpan MaxIdle { get; init; } = Config.GetMilliseconds(BrokerConfigs.ConnectionsMaxIdleMs);

    /// <summary>A connection is closed when a request takes longer than this from its first byte to its last.</summary>
    public TimeSpan MaxReceiveTime { get; init; } = Config.GetMilliseconds(BrokerConfigs.RequestReceiveTimeoutMs);

    /// <summary>Memory for large requests of all connections, in bytes.</summary>
    public long MaxQueuedBytes { get; init; } =
        Config.GetLong(BrokerConfigs.QueuedMaxRequestBytes) is > 0 and var bytes ? bytes : 256L * 1024 * 1024;

    /// <summary>Memory for the records of responses that clients have not taken yet, of all connections, in bytes.</summary>
    public long MaxQueuedResponseBytes { get; init; } = Config.GetLong(BrokerConfigs.ResponseMaxQueuedBytes);

    /// <summary>How many requests of one connection are handled at once.</summary>
    public int MaxInFlightRequests { get; init; } = Config.GetInt(BrokerConfigs.ConnectionMaxInFlightRequests);

    /// <summary>Bytes of one connection's requests that are handled at once. A request that alone is larger is handled alone.</summary>
    public long MaxInFlightBytes { get; init; } = Config.GetLong(BrokerConfigs.ConnectionMaxInFlightBytes);

    /// <summary>Bytes that wait for one partition's append.</summary>
    public long MaxPartitionQueueBytes { get; init; } = Config.GetLong(BrokerConfigs.PartitionMaxQueuedBytes);

    /// <summary>The most bytes that one fetch answers.</summary>
    public int MaxFetchBytes { get; init; } = Config.GetInt(BrokerConfigs.FetchMaxBytes);

    /// <summary>How many fetch sessions there are at once.</summary>
    public int MaxFetchSessions { get; init; } = Config.GetInt(BrokerConfigs.MaxIncrementalFetchSessionCacheSlots);

    /// <summary>
    /// How long connections may take, when the broker stops, to finish what they have begun: a part of the whole stop, so that partitions
    /// and the silo have time to stop in order. Then they are aborted.
    /// </summary>
    public TimeSpan MaxDrainTime { get; init; } = Config.GetMilliseconds(BrokerConfigs.ShutdownTimeoutMs) / 3;

    /// <summary>Whether a topic that a client asks for is created.</summary>
    public bool AutoCreateTopics { get; init; } = Config.GetBoolean(BrokerConfigs.AutoCreateTopicsEnable);
}
