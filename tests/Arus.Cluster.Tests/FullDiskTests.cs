using Arus.Grains;
using Orleans.Core.Internal;

namespace Arus.Cluster.Tests;

public sealed class FullDiskTests
{
    [Fact]
    public async Task Records_are_read_while_nothing_can_be_written_and_written_again_when_it_can()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartAsync(1);
        await cluster.CreateTopicAsync("full");
        IPartitionGrain partition = cluster.Partition("full", 0);
        await partition.AppendAsync(Batches.Append("a"));
        int before = (await partition.DescribeAsync()).LeaderEpoch;
        cluster.Storage.FailsToWrite = grain => grain.Key.ToString() == PartitionKey.Format("full", 0);

        // As after a restart, or after a write that failed: the activation is gone.
        await partition.Cast<IGrainManagementExtension>().DeactivateOnIdle();
        PartitionReadResult read = await BrokerCluster.EventuallyAsync(
            () => partition.FetchAsync(Batches.Fetch(0)), result => result.Error == ErrorCode.None);
        Assert.Equal([(0L, "a")], Batches.Read(read));
        Assert.Equal(before, read.LeaderEpoch);
        PartitionAppendResult refused = await partition.AppendAsync(Batches.Append("b"));
        Assert.Equal(ErrorCode.KafkaStorageError, refused.Results.Single().Error);
        Assert.Contains("No space left on device", refused.Results.Single().Message, StringComparison.Ordinal);
        Assert.Equal(ErrorCode.None, (await partition.FetchAsync(Batches.Fetch(0))).Error);

        cluster.Storage.FailsToWrite = _ => false;
        await BrokerCluster.EventuallyAsync(
            () => partition.AppendAsync(Batches.Append("b")), result => result.Results.Single().Error == ErrorCode.None);
        read = await partition.FetchAsync(Batches.Fetch(0));
        Assert.Equal([(0L, "a"), (1L, "b")], Batches.Read(read));
        Assert.True(read.LeaderEpoch > before);
    }
}
