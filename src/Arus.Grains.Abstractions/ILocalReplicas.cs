namespace Arus.Grains;

/// <summary>The replicas that this broker keeps; a service only where partitions are replicated. Safe for use by any thread.</summary>
public interface ILocalReplicas
{
    /// <summary>Those whose log is open.</summary>
    IReadOnlyList<LocalReplica> List();
}

/// <param name="SizeBytes">Of the log's segments.</param>
/// <param name="OffsetLag">How many records the log is behind the high watermark that it knows; 0 for a leader.</param>
public readonly record struct LocalReplica(TopicPartition Partition, long SizeBytes, long OffsetLag);
