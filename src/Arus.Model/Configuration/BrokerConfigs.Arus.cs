using static Arus.ConfigDefinition;

namespace Arus;

public static partial class BrokerConfigs
{
    private static IEnumerable<ConfigDefinition> DefineArus() =>
    [
        Text(
            Flush, "always", "always, interval:<milliseconds> or os",
            "When appended records are flushed to disk: before they are acknowledged, at an interval, or when the operating system does.",
            text => FlushPolicyText.IsValid(text) ? null : "not a flush policy"),
        OneOf(
            LogType, LogTypeFile,
            "Where records are kept: in files of the broker, in the metadata storage that all brokers share, or in memory, until the "
            + "process ends.",
            LogTypeFile, LogTypeStorage, LogTypeMemory),
        Long(
            LogCacheBytes, 128L * Megabyte, "Memory for the newest records of all partitions, in bytes.", min: Megabyte),
        Int(LogIoThreads, 4, "How many threads write to and read from disk.", min: 1, max: 256),
        Text(
            MetadataDir, null, "a directory",
            "Where the cluster's metadata is kept: topics, groups, leader epochs. Brokers of a cluster share it; unset, it is in log.dir."),
        Text(
            AdvertisedSingleAddress, null, "host:port",
            "The one address, of a load balancer, that clients are told for every broker; any broker serves any partition.",
            text => Endpoints.TryParseHostPort(text, out _) ? null : "not an address"),
        Int(
            ConnectionMaxInFlightRequests, 100, "How many requests of one connection are handled at once; beyond it, reading waits.",
            min: 1, max: 10_000),
        Long(
            ConnectionMaxInFlightBytes, 16L * Megabyte, "Bytes of a connection's requests handled at once; beyond it, reading waits.",
            min: 1),
        Long(
            RequestReceiveTimeoutMs, 60_000,
            "How long a request may take from its first byte to its last, in milliseconds; beyond it, the connection is closed.",
            min: 1_000),
        Long(
            PartitionMaxQueuedBytes, 32L * Megabyte, "Bytes that wait at a broker for a partition's append; beyond it, producers wait.",
            min: 1),
        OneOf(
            ConsoleLevel, "warning", "The least severe messages of Arus that the server writes to its console.",
            "error", "warning", "information", "debug"),
        Text(
            HttpEndpoint, "127.0.0.1:8080", "host:port, or none", "Where health and metrics are served; none to serve neither.",
            text => text == HttpEndpointNone || Endpoints.TryParseHostPort(text, out _) ? null : "not an address"),
        Text(
            OtlpEndpoint, null, "an http or https URL",
            "The OpenTelemetry collector to which the server sends metrics, traces and logs over OTLP. "
            + "Unset, OpenTelemetry's own variables decide, OTEL_EXPORTER_OTLP_ENDPOINT first of all.",
            text => Uri.TryCreate(text, UriKind.Absolute, out Uri? uri) && uri.Scheme is "http" or "https" ? null : "not an http URL"),
        Long(
            GroupLagIntervalMs, 15_000, "How often the lag of consumer groups is measured, in milliseconds, while metrics are collected.",
            min: 1_000),
        Int(
            GroupLagMaxPartitions, 2_000,
            "How many committed offsets of a broker's groups have their lag measured; those beyond are counted and left out.",
            min: 0, max: 100_000),
        Int(ShutdownTimeoutMs, 30_000, "How long a graceful stop may take, in milliseconds.", min: 1_000, max: 600_000),
        Text(OrleansClusterId, "arus", "a name", "The Orleans cluster id: silos and clients of one cluster share it."),
        Text(OrleansServiceId, "arus", "a name", "The Orleans service id."),
        Int(OrleansSiloPort, 11_111, "The port on which silos talk to each other.", min: 1, max: 65_535),
        Int(OrleansGatewayPort, 30_000, "The port to which native clients connect.", min: 1, max: 65_535),
        Text(
            OrleansPrimaryEndpoint, null, "host:port",
            "For several processes on one machine: where the primary silo listens. Unset, this silo is the primary.",
            text => Endpoints.TryParseHostPort(text, out _) ? null : "not an address"),
        Int(OrleansProbeTimeoutMs, 1_000, "How long a silo waits for a probe's answer, in milliseconds.", min: 100, max: 60_000),
        Int(OrleansMissedProbesLimit, 2, "How many probes a silo may miss before it is suspected.", min: 1, max: 100),
        Int(OrleansResponseTimeoutMs, 15_000, "How long a grain call may take, in milliseconds.", min: 12_000, max: 600_000),
        Int(OrleansCollectionAgeMs, 900_000, "An idle grain is put away after this many milliseconds.", min: 61_000),
    ];
}
