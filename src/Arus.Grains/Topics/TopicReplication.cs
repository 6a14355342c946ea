using Arus.Coordination.Replication;

namespace Arus.Grains;

/// <summary>
/// What a topic in a cluster does with the states of its partitions: makes them, marks them as deleted, and describes them from this
/// broker's image. Safe for use by any thread.
/// </summary>
internal sealed class TopicReplication(
    IPartitionStateStore store, PartitionImage image, TopicImage topics, ReplicaCalls calls, TimeProvider time)
{
    /// <summary>How long the creation of a topic waits for leaders, so that its clients need not ask again.</summary>
    private static readonly TimeSpan LeaderPatience = TimeSpan.FromSeconds(3);

    private static readonly TimeSpan LeaderPoll = TimeSpan.FromMilliseconds(10);

    /// <summary>Makes the states of partitions that have none yet, and waits for a while until they have leaders.</summary>
    /// <param name="isShared">The logs are in the database.</param>
    public async Task CreateAsync(string name, TopicState topic, bool isShared)
    {
        PartitionState[] missing =
        [
            .. Enumerable.Range(0, topic.Replicas.Length).Select(i => new PartitionId(topic.Id, i)).Where(id => image.Find(id) is null)
                .Select(id => new PartitionState(name, id, 0, -1, -1, [.. topic.Replicas[id.Partition]], [], [], IsShared: isShared)),
        ];
        if (missing.Length == 0)
            return;

        // Brokers that are not reached ask when they open a log.
        _ = calls.ReconfigureAsync(topic.Id, topic.Configs);
        IReadOnlyList<PartitionState> states = await store.CreateAsync(missing);
        Tell(states);
        long start = time.GetTimestamp();
        while (states.Any(state => image.Find(state.Id) is { Leader: -1 }) && time.GetElapsedTime(start) < LeaderPatience)
            await Task.Delay(LeaderPoll, time);
    }

    /// <summary>Marks the states as deleted: each broker deletes the logs that it keeps when it hears of it.</summary>
    public async Task DeleteAsync(Guid topicId) => Tell(await store.DeleteAsync(topicId));

    /// <summary>Tells the brokers of a topic's configuration.</summary>
    public Task ReconfigureAsync(Guid topicId, Dictionary<string, string> configs) => calls.ReconfigureAsync(topicId, configs);

    /// <summary>Grows with every change of the topic's partitions.</summary>
    public long RevisionOf(Guid topicId) => image.RevisionOf(topicId);

    /// <summary>Whether all partitions have states; some may be missing after a crash in the middle of a creation.</summary>
    public bool IsComplete(TopicState topic) =>
        Enumerable.Range(0, topic.Replicas.Length).All(i => image.Find(new PartitionId(topic.Id, i)) is not null);

    /// <summary>How many replicas a partition that is added gets.</summary>
    public int FactorOf(TopicState topic) =>
        image.Find(new PartitionId(topic.Id, 0))?.Replicas.Length ?? topic.Replicas[0].Length;

    public PartitionAssignment Describe(TopicState topic, int partition) =>
        image.Find(new PartitionId(topic.Id, partition)) is not { } state
            ? new PartitionAssignment(partition, -1, -1, topic.Replicas[partition], [], [])
            : topics.Describe(state);

    private void Tell(IReadOnlyList<PartitionState> states)
    {
        image.Update(states);
        calls.Announce(states);
    }
}
