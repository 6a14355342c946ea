using Arus.Grains;
using Arus.Kafka;

namespace Arus.Hosting;

/// <summary>What Arus measures and traces, for the OpenTelemetry of the application that hosts it.</summary>
public static class ArusTelemetry
{
    /// <summary>The names of the broker's meters.</summary>
    public static IReadOnlyList<string> Meters { get; } = [BrokerMetrics.MeterName, KafkaMetrics.MeterName, ConsumerLag.MeterName];

    /// <summary>The names of the broker's activity sources.</summary>
    public static IReadOnlyList<string> ActivitySources { get; } = [RequestTracing.SourceName];

    /// <summary>The metric with the most series: one for every committed offset, up to <c>arus.group.lag.max.partitions</c>.</summary>
    public static MetricDefinition GroupLag => ConsumerLag.Lag;

    /// <summary>Every metric of <see cref="Meters"/>.</summary>
    public static IReadOnlyList<MetricDefinition> Metrics { get; } =
        [.. BrokerMetrics.Definitions, .. ReplicationMetrics.Definitions, .. KafkaMetrics.Definitions, .. ConsumerLag.Definitions];
}
