using Confluent.Kafka;
using Confluent.Kafka.Admin;

namespace Arus.Chaos;

/// <summary>The topic of a run, seen through librdkafka.</summary>
/// <param name="inDatabase">Whether its records are rows of the database, in one copy, and not files of brokers.</param>
internal sealed class ChaosTopic(Cluster cluster, string name, int partitions, bool inDatabase = false) : IDisposable
{
    private static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan CreateLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan PollPause = TimeSpan.FromMilliseconds(200);

    private readonly IAdminClient _admin = Connect(cluster);

    public string Name => name;

    public int Partitions => partitions;

    public string Bootstrap => cluster.Bootstrap;

    private int ReplicationFactor => inDatabase ? 1 : cluster.ReplicationFactor;

    /// <summary>With as many copies as there are brokers, up to three, of which all but one must have a record.</summary>
    public async Task CreateAsync()
    {
        var topic = new TopicSpecification
        {
            Name = name,
            NumPartitions = partitions,
            ReplicationFactor = (short)ReplicationFactor,
            Configs = new() { ["min.insync.replicas"] = $"{Math.Max(1, ReplicationFactor - 1)}" },
        };
        if (inDatabase)
            topic.Configs["arus.log.type"] = "storage";

        long start = TimeProvider.System.GetTimestamp();
        while (true)
        {
            try
            {
                await _admin.CreateTopicsAsync([topic], new CreateTopicsOptions { RequestTimeout = CallLimit });
                return;
            }
            catch (CreateTopicsException e) when (e.Results[0].Error.Code == Confluent.Kafka.ErrorCode.TopicAlreadyExists)
            {
                return;
            }
            catch (KafkaException) when (TimeProvider.System.GetElapsedTime(start) < CreateLimit)
            {
                await Task.Delay(PollPause);
            }
        }
    }

    /// <summary>The partitions that a broker leads, as any broker answers; empty where none does.</summary>
    public IReadOnlyList<int> LedBy(int broker) =>
        [.. Describe().Where(partition => partition.Leader == broker).Select(partition => partition.PartitionId)];

    /// <summary>
    /// The broker that coordinates a group; -1 where nobody answers. It is asked by a client of its own: librdkafka answers no metadata any
    /// more for a while when a coordinator dies that it has asked.
    /// </summary>
    public async Task<int> CoordinatorOfAsync(string group)
    {
        using IAdminClient admin = Connect(cluster);
        try
        {
            DescribeConsumerGroupsResult described = await admin.DescribeConsumerGroupsAsync(
                [group], new DescribeConsumerGroupsOptions { RequestTimeout = CallLimit });
            return described.ConsumerGroupDescriptions[0].Coordinator.Id;
        }
        catch (KafkaException)
        {
            return -1;
        }
    }

    /// <summary>Whether every partition has a leader and all its copies in sync.</summary>
    public bool IsWhole()
    {
        IReadOnlyList<PartitionMetadata> described = Describe();
        return described.Count == partitions
            && described.All(partition => partition.Leader > 0 && partition.InSyncReplicas.Length == ReplicationFactor);
    }

    /// <summary>Waits until <see cref="IsWhole"/>; false where that does not come.</summary>
    public Task<bool> IsWholeWithinAsync(TimeSpan limit) => ComesAsync(IsWhole, limit);

    /// <summary>Waits until every partition has a leader that is not this broker; false where that does not come.</summary>
    public Task<bool> IsLedWithoutAsync(int broker, TimeSpan limit) => ComesAsync(
        () => Describe() is { } all && all.Count == partitions && all.All(p => p.Leader > 0 && p.Leader != broker), limit);

    /// <summary>One line: which partitions are not whole, and how.</summary>
    public string Complaint()
    {
        IEnumerable<string> partial = Describe()
            .Where(partition => partition.Leader <= 0 || partition.InSyncReplicas.Length < ReplicationFactor)
            .Select(partition => $"{partition.PartitionId}: leader {partition.Leader}, isr {string.Join(',', partition.InSyncReplicas)}");
        return string.Join("; ", partial);
    }

    public void Dispose() => _admin.Dispose();

    private static IAdminClient Connect(Cluster cluster) =>
        new AdminClientBuilder(new AdminClientConfig { BootstrapServers = cluster.Bootstrap }).SetLogHandler((_, _) => { }).Build();

    private static async Task<bool> ComesAsync(Func<bool> isTrue, TimeSpan limit)
    {
        long start = TimeProvider.System.GetTimestamp();
        while (!isTrue())
        {
            if (TimeProvider.System.GetElapsedTime(start) > limit)
                return false;

            await Task.Delay(PollPause);
        }

        return true;
    }

    private List<PartitionMetadata> Describe()
    {
        try
        {
            return _admin.GetMetadata(name, CallLimit).Topics[0].Partitions;
        }
        catch (KafkaException)
        {
            return [];
        }
    }
}
