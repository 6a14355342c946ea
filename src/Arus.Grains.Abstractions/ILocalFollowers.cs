namespace Arus.Grains;

/// <summary>
/// The replicas that this broker keeps and does not lead, for consumers in its rack (KIP-392); a service only where partitions are
/// replicated. A follower answers for what it knows to be committed; everything else is the leader's to say. Safe for use by any thread.
/// </summary>
public interface ILocalFollowers
{
    /// <summary>Reads as <see cref="IPartitionGrain.FetchAsync"/> does, up to the high watermark that the follower knows.</summary>
    /// <returns>
    /// Null when the leader is to be asked: this broker is no replica in sync with a leader from which it heard within a lease, or what is
    /// asked for cannot be read here. <see cref="ErrorCode.OffsetNotAvailable"/> for an offset that the follower does not have yet.
    /// </returns>
    Task<PartitionReadResult?> FetchAsync(TopicPartition partition, PartitionRead request);

    /// <summary>Waits as <see cref="IPartitionGrain.WaitForOffsetAsync"/> does, for the high watermark that the follower knows.</summary>
    /// <returns>Null, and <see cref="ErrorCode.OffsetNotAvailable"/>, as for a fetch.</returns>
    Task<PartitionOffsets?> WaitForOffsetAsync(TopicPartition partition, PartitionWait request);
}
