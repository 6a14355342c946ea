using Arus.Grains;

namespace Arus.Cluster.Tests;

/// <summary>A topic with one partition in three copies, and what a producer with acks=all got acknowledged.</summary>
internal sealed class ReplicatedTopic(BrokerCluster cluster, string name)
{
    private readonly List<(long Offset, string Value)> _acknowledged = [];

    public IPartitionGrain Partition { get; } = cluster.Partition(name, 0);

    public IReadOnlyList<(long Offset, string Value)> Acknowledged => _acknowledged;

    public static async Task<ReplicatedTopic> CreateAsync(
        BrokerCluster cluster, string name, int[] replicas, params (string Key, string Value)[] configs)
    {
        Dictionary<string, string> own = configs.ToDictionary(pair => pair.Key, pair => pair.Value);
        await cluster.Topic(name).CreateAsync(new TopicSpec(-1, -1, [replicas], own, false));
        return new ReplicatedTopic(cluster, name);
    }

    /// <summary>Appends until it is acknowledged, as a producer does; a value may be there several times.</summary>
    public async Task<PartitionAppendResult> AppendAsync(string value)
    {
        PartitionAppendResult appended = await BrokerCluster.EventuallyAsync(
            () => Partition.AppendAsync(Batches.Append(value)), result => result.Results[0].Error == ErrorCode.None);
        _acknowledged.Add((appended.Results[0].BaseOffset, value));
        return appended;
    }

    public async Task<ErrorCode> TryAppendAsync(string value) =>
        (await Partition.AppendAsync(Batches.Append(value))).Results[0].Error;

    /// <summary>Everything acknowledged is at its offset.</summary>
    public async Task CheckAsync()
    {
        long end = _acknowledged.Count == 0 ? 0 : _acknowledged[^1].Offset;
        var read = new Dictionary<long, string>();
        while (read.Count == 0 || read.Keys.Max() < end)
        {
            long next = read.Count == 0 ? 0 : read.Keys.Max() + 1;
            PartitionReadResult records = await BrokerCluster.EventuallyAsync(
                () => Partition.FetchAsync(Batches.Fetch(next)), result => result.Error == ErrorCode.None && result.Records.Count > 0);
            foreach ((long offset, string value) in Batches.Read(records))
                read[offset] = value;
        }

        foreach ((long offset, string value) in _acknowledged)
            Assert.Equal(value, read[offset]);
    }

    /// <summary>Waits until the partition is as wanted, as a broker's metadata has it.</summary>
    public async Task<PartitionAssignment> BecomesAsync(Func<PartitionAssignment, bool> wanted)
    {
        TopicDescription topic = await BrokerCluster.EventuallyAsync(
            async () => (await cluster.Topic(name).DescribeAsync())!, description => wanted(description.Partitions[0]));
        return topic.Partitions[0];
    }
}
