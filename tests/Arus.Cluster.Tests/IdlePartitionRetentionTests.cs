using Arus.Testing;
using Arus.Grains;
using Microsoft.Extensions.DependencyInjection;

namespace Arus.Cluster.Tests;

public sealed class IdlePartitionRetentionTests
{
    [Fact]
    public async Task An_idle_partition_is_activated_when_its_oldest_segment_outlives_its_retention()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartAsync(1);
        foreach (string topic in (string[])["expired", "kept", "open"])
        {
            await cluster.CreateTopicAsync(topic, 1, ("retention.ms", "3600000"));
            await cluster.Partition(topic, 0).AppendAsync(Batches.Append("a"));
        }

        LocalPartitions local = cluster.Services(1).GetRequiredService<LocalPartitions>();
        await CloseAsync(local, "expired");
        await CloseAsync(local, "kept");
        foreach (string segment in Directory.EnumerateFiles(Path.Combine(cluster.LogDirectory(1), "expired-0"), "*.log"))
            File.SetLastWriteTimeUtc(segment, DateTime.UtcNow - TimeSpan.FromHours(2));

        Assert.Equal(1, await cluster.Services(1).GetRequiredService<IdlePartitionRetention>().RunAsync(TestTimeout.Token));
        Assert.Equal(["expired", "open"], local.Claims.Select(open => open.Partition.Topic).Order());
    }

    /// <summary>Closes a partition's log as a deactivation does.</summary>
    private static async Task CloseAsync(LocalPartitions local, string topic)
    {
        PartitionClaim open = local.Claims.Single(one => one.Partition.Topic == topic);
        PartitionClaim newer = local.TryClaim(open.Partition, open.TopicId, open.LeaderEpoch + 1, () => { })!;
        await newer.CloseAsync();
        await open.CloseAsync();
    }
}
