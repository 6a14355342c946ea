using System.Collections.Concurrent;
using System.Diagnostics;
using Arus.Storage;

namespace Arus.Grains;

/// <summary>The claims on partitions in this process, one for each partition that it leads. Safe for use by any thread.</summary>
/// <remarks>
/// A partition may for a moment have two activations here. The newer leader epoch wins: a claim for an older one is refused, and the older
/// activation that holds the partition is told, so that it deactivates. The log provider gives the log to the last opening, so openings of
/// one partition come one after the other, in the order of their epochs.
/// </remarks>
internal sealed class LocalPartitions
{
    /// <summary>The epoch of a deletion's claim: above those of all leaders.</summary>
    private const int DeletionEpoch = int.MaxValue;

    private readonly ConcurrentDictionary<TopicPartition, PartitionClaim> _claims = new();
    private readonly Lock _lock = new();
    private volatile bool _stopping;

    public LocalPartitions(IPartitionLogProvider provider, BrokerMetrics metrics)
    {
        Provider = provider;
        metrics.ObserveOpenPartitions(() => _claims.Count);
    }

    public ICollection<PartitionClaim> Claims => _claims.Values;

    internal IPartitionLogProvider Provider { get; }

    /// <summary>The broker begins to stop: waits end, so that nothing holds up the stop.</summary>
    public void Stop()
    {
        _stopping = true;
        foreach (PartitionClaim claim in _claims.Values)
            claim.EndWaits();
    }

    /// <summary>
    /// Claims a partition, superseding older epochs; null when a newer one has it. The claimant then makes sure that its epoch still is the
    /// newest, and opens or gives up the claim: an activation that raises the epoch after that check claims later, and supersedes this
    /// claim.
    /// </summary>
    /// <param name="leaderEpoch">Of the claimant. Epochs of topics that are not the same are not compared.</param>
    /// <param name="onSuperseded">Called from any thread when a newer claim takes the partition.</param>
    public PartitionClaim? TryClaim(TopicPartition partition, Guid topicId, int leaderEpoch, Action onSuperseded)
    {
        Debug.Assert(leaderEpoch is >= 0 and < DeletionEpoch, "A leader's epoch was raised from -1.");
        PartitionClaim? claim = TryReplace(
            partition, topicId, leaderEpoch, onSuperseded, ClaimState.Claimed,
            other => other.TopicId != topicId || other.LeaderEpoch <= leaderEpoch);
        if (_stopping)
            claim?.EndWaits();

        return claim;
    }

    /// <summary>
    /// Deletes what a topic's partition holds. An activation that has it open is told, so that it deactivates. Does nothing when the
    /// partition is open for another topic of the same name; one that claims it during the deletion opens its log afterwards.
    /// </summary>
    /// <exception cref="LogException">The log cannot be deleted; it can be tried again.</exception>
    public async Task DeleteAsync(TopicPartition partition, Guid topicId)
    {
        PartitionClaim? deletion = TryReplace(
            partition, topicId, DeletionEpoch, static () => { }, ClaimState.Deleting, other => other.TopicId == topicId);
        await (deletion?.DeleteAsync() ?? Task.CompletedTask);
    }

    internal void Release(PartitionClaim claim)
    {
        _claims.TryRemove(new KeyValuePair<TopicPartition, PartitionClaim>(claim.Partition, claim));
        claim.EndWaits();
    }

    /// <summary>Puts a claim in the place of another that yields to it, and tells the other; null if that does not yield.</summary>
    private PartitionClaim? TryReplace(
        TopicPartition partition, Guid topicId, int leaderEpoch, Action onSuperseded, ClaimState state, Func<PartitionClaim, bool> yields)
    {
        PartitionClaim? other;
        PartitionClaim claim;
        lock (_lock)
        {
            other = _claims.GetValueOrDefault(partition);
            if (other is not null && !yields(other))
                return null;

            _claims[partition] = claim = new PartitionClaim(
                this, partition, topicId, leaderEpoch, onSuperseded,
                other?.Supersede(state == ClaimState.Deleting || other.TopicId != topicId) ?? Task.CompletedTask, state);
        }

        other?.NotifySuperseded();
        return claim;
    }
}
