using System.Collections.Concurrent;
using Arus.Coordination.Replication;

namespace Arus.Grains;

/// <inheritdoc cref="ITopicImage"/>
internal sealed class TopicImage(PartitionImage image, BrokerMembership membership) : ITopicImage
{
    private const int MaxKept = 20_000;

    private readonly ConcurrentDictionary<Guid, Kept> _kept = new();

    public event Action? LeadersReplaced;

    public long LatestVersion => image.LatestVersion;

    public TopicDescription? Find(string name) => image.FindTopic(name) is { } id ? Find(id) : null;

    public TopicDescription? Find(Guid id)
    {
        (long revision, object token) = (image.RevisionOf(id), membership.Token);
        if (revision == 0)
            return null;

        if (_kept.TryGetValue(id, out Kept? kept) && kept.Revision == revision && ReferenceEquals(kept.MembershipToken, token))
            return kept.Description;

        if (_kept.Count >= MaxKept)
            _kept.Clear();

        TopicDescription? description = Build(id, revision);
        _kept[id] = new Kept(revision, token, description);
        return description;
    }

    /// <summary>See <see cref="LeadersReplaced"/>.</summary>
    public void TellReplaced() => LeadersReplaced?.Invoke();

    public PartitionAssignment Describe(PartitionState state)
    {
        int[] replicas = [.. state.Target, .. state.Replicas.Where(broker => !state.Target.Contains(broker))];
        return new PartitionAssignment(
            state.Id.Partition, membership.IsAlive(state.Leader) ? state.Leader : -1, state.LeaderEpoch, replicas,
            state.IsShared ? replicas : [.. state.Isr.Select(replica => replica.BrokerId)],
            [.. state.Elr.Select(replica => replica.BrokerId)]);
    }

    private TopicDescription? Build(Guid id, long revision)
    {
        string name = "";
        var partitions = new List<PartitionAssignment>();
        while (image.Find(new PartitionId(id, partitions.Count)) is { IsDeleted: false } state)
        {
            name = state.Topic;
            partitions.Add(Describe(state));
        }

        return partitions.Count == 0 ? null
            : new TopicDescription(name, id, [.. partitions], [], revision, TopicName.IsInternal(name));
    }

    private sealed record Kept(long Revision, object MembershipToken, TopicDescription? Description);
}
