using static Arus.ConfigDefinition;

namespace Arus;

public static partial class BrokerConfigs
{
    private const int Megabyte = 1024 * 1024;

    private static IEnumerable<ConfigDefinition> DefineKafka() =>
        DefineBroker().Concat(DefineLog()).Concat(DefineGroups()).Concat(DefineTopicDefaults());

    private static IEnumerable<ConfigDefinition> DefineBroker() =>
    [
        // Some clients take node id 0 for "none", so ids begin with 1.
        Int(BrokerId, 1, "This broker's number in the cluster.", min: 1),
        Text(BrokerRack, null, "a name", "The rack that clients are told. Some clients change how they fetch when it is set."),
        Text(
            Listeners, "PLAINTEXT://127.0.0.1:9092", "NAME://host:port, several separated by commas",
            "Where Kafka clients connect. An empty host or 0.0.0.0 means every address of this machine; port 0 means any free port.",
            text => Endpoints.TryParse(text, out _, out string? fault) ? null : fault),
        Text(
            AdvertisedListeners, null, "NAME://host:port, several separated by commas",
            "What clients are told to connect to, where it differs from listeners.",
            text => Endpoints.TryParse(text, out _, out string? fault) ? null : fault),
        Text(
            ListenerSecurityProtocolMap, null, "NAME:PLAINTEXT, several separated by commas",
            "The security protocol of each listener. PLAINTEXT is the only one so far, and the one of every listener that is not named.",
            CheckProtocolMap),
        Text(LogDir, "data", "a directory", "Where this broker keeps its records. Two brokers never share one."),
        Int(NumPartitions, 1, "How many partitions a topic gets that does not say.", min: 1, max: 10_000),
        Short(DefaultReplicationFactor, 1, "How many replicas a topic's partitions get where it does not say.", 1, 1),
        Boolean(AutoCreateTopicsEnable, true, "Whether a topic is created when a client asks for one that does not exist."),
        Boolean(DeleteTopicEnable, true, "Whether topics may be deleted."),
        Int(SocketRequestMaxBytes, 100 * Megabyte, "The largest request that is read, in bytes.", min: 1024),
        Long(ConnectionsMaxIdleMs, 600_000, "An idle connection is closed after this many milliseconds.", min: 1_000),
        Int(MaxConnections, 10_000, "How many client connections are held at once.", min: 1),
        Int(MaxConnectionsPerIp, int.MaxValue, "How many client connections are held at once from one address.", min: 1),
        Long(
            QueuedMaxRequestBytes, 256L * Megabyte, "Memory in bytes for large requests being read or handled; beyond it, reading waits.",
            min: Megabyte),
        Int(FetchMaxBytes, 55 * Megabyte, "The maximum bytes of a fetch response.", min: 1024),
    ];

    private static string? CheckProtocolMap(string text)
    {
        foreach (string item in ConfigText.SplitList(text))
        {
            int colon = item.IndexOf(':', StringComparison.Ordinal);
            if (colon <= 0)
                return $"'{item}' does not have the form NAME:PROTOCOL";

            if (item[(colon + 1)..] != "PLAINTEXT")
                return $"the security protocol {item[(colon + 1)..]} is not supported";
        }

        return null;
    }

    private static IEnumerable<ConfigDefinition> DefineLog() =>
    [
        Long(LogRollMs, null, "Default of the topic key segment.ms; unset, log.roll.hours counts.", min: 1),
        Int(LogRollHours, 168, "Default of the topic key segment.ms, in hours.", min: 1),
        Long(LogRetentionMs, null, "Default of the topic key retention.ms; unset, the minutes count, then the hours.", min: -1),
        Int(LogRetentionMinutes, null, "Default of the topic key retention.ms, in minutes; unset, the hours count.", min: -1),
        Int(LogRetentionHours, 168, "Default of the topic key retention.ms, in hours; -1 for ever.", min: -1),
        Long(LogRetentionCheckIntervalMs, 300_000, "How often old segments are looked for, in milliseconds.", min: 100),
        Int(LogCleanerThreads, 1, "How many partitions are cleaned at once.", min: 1, max: 64),
        Long(LogCleanerBackoffMs, 15_000, "How often compacted topics are looked at, in milliseconds.", min: 100),
        Long(ProducerIdExpirationMs, 86_400_000, "How long an idle producer's sequence numbers are remembered, in milliseconds.", min: 1),
    ];

    /// <summary>
    /// The keys that give the default of a topic's key have its type, default and allowed values; but for those of which the broker has
    /// a second one in another unit.
    /// </summary>
    private static IEnumerable<ConfigDefinition> DefineTopicDefaults() =>
        TopicConfigs.All.Where(topic => topic.BrokerKey is not (null or LogRollMs or LogRetentionMs)).Select(topic => topic.ToBrokerKey());

    private static IEnumerable<ConfigDefinition> DefineGroups() =>
    [
        Int(GroupInitialRebalanceDelayMs, 3_000, "How long an empty group waits for more members before it first rebalances.", min: 0),
        Int(GroupMinSessionTimeoutMs, 6_000, "The shortest session timeout that a member may ask for, in milliseconds.", min: 1),
        Int(GroupMaxSessionTimeoutMs, 1_800_000, "The longest session timeout that a member may ask for, in milliseconds.", min: 1),
        Int(GroupMaxSize, int.MaxValue, "How many members a group may have.", min: 1),
        Int(OffsetsRetentionMinutes, 10_080, "How long the offsets of an empty group are kept, in minutes.", min: 1),
        Long(OffsetsRetentionCheckIntervalMs, 600_000, "How often expired offsets are looked for, in milliseconds.", min: 1),
        Int(OffsetMetadataMaxBytes, 4_096, "The longest metadata that may be kept with a committed offset, in bytes.", min: 0),
    ];
}
