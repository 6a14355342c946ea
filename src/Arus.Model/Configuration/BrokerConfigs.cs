namespace Arus;

/// <summary>
/// The configuration keys of a broker: Kafka's names and meanings where Kafka has the key
/// (<see href="https://kafka.apache.org/documentation/#brokerconfigs"/>), <c>arus.</c> and <c>orleans.</c> for the rest.
/// </summary>
public static class BrokerConfigs
{
    public const string BrokerId = "broker.id";
    public const string BrokerRack = "broker.rack";
    public const string ReplicaSelectorClass = "replica.selector.class";

    /// <summary>A value of <see cref="ReplicaSelectorClass"/>; the other means what no value means.</summary>
    public const string RackAwareReplicaSelector = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
    public const string Listeners = "listeners";
    public const string AdvertisedListeners = "advertised.listeners";
    public const string ListenerSecurityProtocolMap = "listener.security.protocol.map";
    public const string LogDir = "log.dir";
    public const string LogDirs = "log.dirs";
    public const string NodeId = "node.id";

    public const string NumPartitions = "num.partitions";
    public const string DefaultReplicationFactor = "default.replication.factor";
    public const string AutoCreateTopicsEnable = "auto.create.topics.enable";
    public const string DeleteTopicEnable = "delete.topic.enable";
    public const string MinInSyncReplicas = "min.insync.replicas";
    public const string UncleanLeaderElectionEnable = "unclean.leader.election.enable";

    public const string MessageMaxBytes = "message.max.bytes";
    public const string LogSegmentBytes = "log.segment.bytes";
    public const string LogRollMs = "log.roll.ms";
    public const string LogRollHours = "log.roll.hours";
    public const string LogRollJitterMs = "log.roll.jitter.ms";
    public const string LogRollJitterHours = "log.roll.jitter.hours";
    public const string LogFlushIntervalMs = "log.flush.interval.ms";
    public const string LogFlushSchedulerIntervalMs = "log.flush.scheduler.interval.ms";
    public const string LogRetentionMs = "log.retention.ms";
    public const string LogRetentionMinutes = "log.retention.minutes";
    public const string LogRetentionHours = "log.retention.hours";
    public const string LogRetentionBytes = "log.retention.bytes";
    public const string LogRetentionCheckIntervalMs = "log.retention.check.interval.ms";
    public const string ReplicaHighWatermarkCheckpointIntervalMs = "replica.high.watermark.checkpoint.interval.ms";
    public const string LogCleanupPolicy = "log.cleanup.policy";
    public const string LogIndexIntervalBytes = "log.index.interval.bytes";
    public const string LogMessageTimestampType = "log.message.timestamp.type";
    public const string LogMessageTimestampBeforeMaxMs = "log.message.timestamp.before.max.ms";
    public const string LogMessageTimestampAfterMaxMs = "log.message.timestamp.after.max.ms";
    public const string LogCleanerEnable = "log.cleaner.enable";
    public const string LogCleanerThreads = "log.cleaner.threads";
    public const string LogCleanerBackoffMs = "log.cleaner.backoff.ms";
    public const string LogCleanerDeleteRetentionMs = "log.cleaner.delete.retention.ms";
    public const string LogCleanerMinCleanableRatio = "log.cleaner.min.cleanable.ratio";
    public const string LogCleanerMinCompactionLagMs = "log.cleaner.min.compaction.lag.ms";
    public const string LogCleanerMaxCompactionLagMs = "log.cleaner.max.compaction.lag.ms";
    public const string ProducerIdExpirationMs = "producer.id.expiration.ms";

    public const string SocketRequestMaxBytes = "socket.request.max.bytes";
    public const string ConnectionsMaxIdleMs = "connections.max.idle.ms";
    public const string MaxConnections = "max.connections";
    public const string MaxConnectionsPerIp = "max.connections.per.ip";
    public const string MaxConnectionsPerIpOverrides = "max.connections.per.ip.overrides";
    public const string MaxConnectionCreationRate = "max.connection.creation.rate";
    public const string MaxRequestPartitionSizeLimit = "max.request.partition.size.limit";
    public const string SocketListenBacklogSize = "socket.listen.backlog.size";
    public const string SocketReceiveBufferBytes = "socket.receive.buffer.bytes";
    public const string SocketSendBufferBytes = "socket.send.buffer.bytes";
    public const string QueuedMaxRequestBytes = "queued.max.request.bytes";
    public const string FetchMaxBytes = "fetch.max.bytes";
    public const string MaxIncrementalFetchSessionCacheSlots = "max.incremental.fetch.session.cache.slots";

    public const string GroupInitialRebalanceDelayMs = "group.initial.rebalance.delay.ms";
    public const string GroupMinSessionTimeoutMs = "group.min.session.timeout.ms";
    public const string GroupMaxSessionTimeoutMs = "group.max.session.timeout.ms";
    public const string GroupMaxSize = "group.max.size";
    public const string OffsetsRetentionMinutes = "offsets.retention.minutes";
    public const string OffsetsRetentionCheckIntervalMs = "offsets.retention.check.interval.ms";
    public const string OffsetMetadataMaxBytes = "offset.metadata.max.bytes";
    public const string TransactionPartitionVerificationEnable = "transaction.partition.verification.enable";
    public const string AddPartitionsToTxnRetryBackoffMs = "add.partitions.to.txn.retry.backoff.ms";
    public const string AddPartitionsToTxnRetryBackoffMaxMs = "add.partitions.to.txn.retry.backoff.max.ms";
    public const string TransactionMaxTimeoutMs = "transaction.max.timeout.ms";
    public const string TransactionalIdExpirationMs = "transactional.id.expiration.ms";
    public const string TransactionTimeoutCheckIntervalMs = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
    public const string TransactionExpiryCheckIntervalMs = "transaction.remove.expired.transaction.cleanup.interval.ms";
    public const string ReplicationCatchUpRate = "arus.replication.catch.up.rate";
    public const string ReplicaLagTimeMaxMs = "replica.lag.time.max.ms";
    public const string AutoLeaderRebalanceEnable = "auto.leader.rebalance.enable";
    public const string LeaderImbalanceCheckIntervalSeconds = "leader.imbalance.check.interval.seconds";

    public const string Flush = "arus.flush";
    public const string LogType = "arus.log.type";

    /// <summary>The values of <see cref="LogType"/>.</summary>
    public const string LogTypeFile = "file";
    public const string LogTypeStorage = "storage";
    public const string LogTypeMemory = "memory";

    public const string LogCacheBytes = "arus.log.cache.bytes";
    public const string LogIoThreads = "arus.log.io.threads";
    public const string Database = "arus.database";
    public const string DatabaseCreateSchema = "arus.database.create.schema";
    public const string DatabaseStartTimeoutMs = "arus.database.start.timeout.ms";
    public const string AdvertisedSingleAddress = "arus.advertised.single.address";
    public const string ConnectionMaxInFlightRequests = "arus.connection.max.in.flight.requests";
    public const string ConnectionMaxInFlightBytes = "arus.connection.max.in.flight.bytes";
    public const string RequestReceiveTimeoutMs = "arus.request.receive.timeout.ms";
    public const string ResponseMaxQueuedBytes = "arus.response.max.queued.bytes";
    public const string PartitionMaxQueuedBytes = "arus.partition.max.queued.bytes";
    public const string OtlpEndpoint = "arus.otlp.endpoint";
    public const string GroupLagIntervalMs = "arus.group.lag.interval.ms";
    public const string GroupLagMaxPartitions = "arus.group.lag.max.partitions";
    public const string ConsoleLevel = "arus.console.level";
    public const string HttpEndpoint = "arus.http.endpoint";

    /// <summary>What <see cref="HttpEndpoint"/> is for no HTTP server.</summary>
    public const string HttpEndpointNone = "none";

    public const string ShutdownTimeoutMs = "arus.shutdown.timeout.ms";

    public const string OrleansClusterId = "orleans.cluster.id";
    public const string OrleansServiceId = "orleans.service.id";
    public const string OrleansSiloPort = "orleans.silo.port";
    public const string OrleansGatewayPort = "orleans.gateway.port";
    public const string OrleansAdvertisedHost = "orleans.advertised.host";
    public const string OrleansKubernetes = "orleans.kubernetes";
    public const string OrleansListenHost = "orleans.listen.host";
    public const string OrleansProbeTimeoutMs = "orleans.probe.timeout.ms";
    public const string OrleansMissedProbesLimit = "orleans.missed.probes.limit";
    public const string OrleansResponseTimeoutMs = "orleans.response.timeout.ms";
    public const string OrleansCollectionAgeMs = "orleans.collection.age.ms";

    private const string SharedDirectory =
        "brokers that are one cluster have a database in common: remove the key, and give each of them arus.database (ARUS_DATABASE); "
        + "a single broker needs neither";

    /// <summary>Kafka's two names for one thing; where both are set, the second counts.</summary>
    internal static readonly (string Name, string Alias)[] Aliases = [(BrokerId, NodeId), (LogDir, LogDirs)];

    /// <summary>Keys of earlier versions, and what to do instead.</summary>
    public static IReadOnlyDictionary<string, string> Removed { get; } = new Dictionary<string, string>
    {
        ["arus.metadata.dir"] = SharedDirectory,
        ["orleans.primary.endpoint"] = SharedDirectory,
    };

    /// <summary>Of Kafka's keys for one listener.</summary>
    public const string ListenerPrefix = "listener.name.";

    /// <summary>Every key, sorted by name.</summary>
    public static IReadOnlyList<ConfigDefinition> All => ConfigTable.Brokers.All;

    /// <summary>
    /// A key by its name. Kafka's keys for one listener, <c>listener.name.&lt;listener&gt;.&lt;key&gt;</c> with a mechanism of SASL between
    /// them where the key has one, are known too, and have no effect.
    /// </summary>
    public static ConfigDefinition? Find(string name)
    {
        if (ConfigTable.Brokers.Find(name) is { } key)
            return key;

        if (!name.StartsWith(ListenerPrefix, StringComparison.Ordinal))
            return null;

        string[] parts = name[ListenerPrefix.Length..].Split('.');
        ConfigDefinition? common = Enumerable.Range(1, Math.Min(2, parts.Length - 1))
            .Select(skipped => ConfigTable.Brokers.Find(string.Join('.', parts[skipped..])))
            .FirstOrDefault(found => found is not null);
        return common is null ? null : common with
        {
            Name = name,
            IsHonoured = false,
            Documentation = $"Without effect: {common.Name} is the same for every listener.",
        };
    }

    /// <summary>Every fault of a configuration, each with the key, the value, what is allowed, and the value's origin.</summary>
    public static IReadOnlyList<string> Validate(IReadOnlyDictionary<string, ConfigValue> set)
    {
        var faults = new List<string>();
        foreach ((string name, ConfigValue value) in set.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            string? fault = Find(name) is { } definition ? definition.Validate(value.Value) : Unknown(name);
            if (fault is not null)
                faults.Add($"{fault} (from {value.Origin})");
        }

        if (faults.Count == 0)
            CheckTogether(set, new BrokerConfig(set), faults);

        return faults;
    }

    private static void CheckTogether(IReadOnlyDictionary<string, ConfigValue> set, BrokerConfig config, List<string> faults)
    {
        void AtMost(string low, string high)
        {
            if (config.GetLong(low) > config.GetLong(high))
            {
                faults.Add(
                    $"{low}={config[low].Value} (from {config[low].Origin}) is above {high}={config[high].Value} "
                    + $"(from {config[high].Origin}); allowed: at most {high}");
            }
        }

        if (set.TryGetValue(BrokerId, out ConfigValue id) && config.GetString(NodeId) is { } node && node != id.Value?.Trim())
            faults.Add($"{BrokerId}={id.Value} (from {id.Origin}) and {NodeId}={node} differ; set one of them, or both to the same number");

        AtMost(GroupMinSessionTimeoutMs, GroupMaxSessionTimeoutMs);
        AtMost(LogCleanerMinCompactionLagMs, LogCleanerMaxCompactionLagMs);
        AtMost(MessageMaxBytes, SocketRequestMaxBytes);
    }

    private static string Unknown(string name)
    {
        if (Removed.TryGetValue(name, out string? instead))
            return $"{name} is no configuration key any more: {instead}";

        ConfigDefinition? near = All.MinBy(definition => Distance(definition.Name, name));
        string hint = near is not null && Distance(near.Name, name) <= 3 ? $"; did you mean {near.Name}?" : "";
        return $"{name} is not a configuration key{hint}";
    }

    /// <summary>The Levenshtein distance of two names.</summary>
    private static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int above = row[j];
                row[j] = Math.Min(Math.Min(row[j] + 1, row[j - 1] + 1), diagonal + (a[i - 1] == b[j - 1] ? 0 : 1));
                diagonal = above;
            }
        }

        return row[b.Length];
    }
}
