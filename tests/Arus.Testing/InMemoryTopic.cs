using Arus.Grains;

namespace Arus.Testing;

/// <summary>A topic that is what it was created as. <see cref="Failure"/> makes calls throw.</summary>
public sealed class InMemoryTopic(string name) : ITopicGrain
{
    public TopicDescription? Description { get; set; }

    public int Describes { get; private set; }

    public Exception? Failure { get; set; }

    public List<ConfigChange> Changes { get; } = [];

    public TopicDescription Create(int partitions, bool isInternal = false)
    {
        Guid id = TopicCatalog.IdFor(name, Guid.NewGuid());
        IEnumerable<PartitionAssignment> assignments =
            Enumerable.Range(0, partitions).Select(i => new PartitionAssignment(i, 1 + (i % 2), 5, [1 + (i % 2)], [1 + (i % 2)]));
        return Description = new TopicDescription(name, id, [.. assignments], [], 1, isInternal);
    }

    public Task<TopicDescription> CreateAsync(TopicSpec spec)
    {
        Throw();
        if (Description is not null)
            throw new ArusException(ErrorCode.TopicAlreadyExists, $"Topic {name} exists.");

        TopicDescription created = Create(spec.Partitions < 0 ? 1 : spec.Partitions) with { Configs = spec.Configs };
        Description = spec.ValidateOnly ? null : created;
        return Task.FromResult(created);
    }

    public Task<TopicDescription?> DescribeAsync()
    {
        Describes++;
        Throw();
        return Task.FromResult(Description);
    }

    public Task DeleteAsync(Guid topicId)
    {
        Throw();
        Description = null;
        return Task.CompletedTask;
    }

    public Task<TopicDescription> CreatePartitionsAsync(int count, int[][]? assignments, bool validateOnly)
    {
        Throw();
        return count <= Description!.Partitions.Length
            ? throw new ArusException(ErrorCode.InvalidPartitions, $"{name} has {Description.Partitions.Length} partitions already.")
            : Task.FromResult(Create(count));
    }

    public Task AlterConfigsAsync(ConfigChange[] changes, bool validateOnly)
    {
        Throw();
        Changes.AddRange(changes);
        return Task.CompletedTask;
    }

    public Task<Guid?> ReportLeaderAsync(int partition, int brokerId, int leaderEpoch, Guid topicId) => Task.FromResult(Description?.Id);

    public Task<PartitionSpec?> DescribePartitionAsync(int partition) => throw new NotSupportedException();

    public Task<int> LocateAsync(int partition) => Task.FromResult(Description?.Partitions[partition].Leader ?? -1);

    private void Throw()
    {
        if (Failure is not null)
            throw Failure;
    }
}
