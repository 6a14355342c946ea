namespace Arus.Grains;

/// <summary>
/// The partitions that this broker leads, without their grains between; a service only where partitions are replicated. Safe for use by
/// any thread.
/// </summary>
public interface ILocalLeaders
{
    /// <summary>
    /// Appends as <see cref="IPartitionGrain.AppendAsync"/> does. Appends that one thread passes in take effect in their order, and the
    /// next may be passed in before the last is answered: unlike calls of a grain, which may overtake each other.
    /// </summary>
    /// <returns>Null, and nothing is appended, while this broker does not lead the partition, or its leadership is being moved.</returns>
    Task<PartitionAppendResult>? TryAppend(TopicPartition partition, PartitionAppend request);
}
