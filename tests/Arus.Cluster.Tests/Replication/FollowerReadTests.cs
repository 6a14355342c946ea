using Arus.Grains;
using Microsoft.Extensions.DependencyInjection;

namespace Arus.Cluster.Tests;

/// <summary>Consumers that read a follower (KIP-392): what it serves, and when it leaves that to the leader.</summary>
public sealed class FollowerReadTests : IAsyncLifetime
{
    private static readonly (string, string) MinTwo = ("min.insync.replicas", "2");
    private static readonly TopicPartition Partition = new("t", 0);

    private BrokerCluster _cluster = null!;
    private ReplicatedTopic _topic = null!;

    /// <summary>The brokers of the partition's leader and of its followers, when the test began.</summary>
    private int _leader;
    private int _other;
    private int _follower;

    public async Task InitializeAsync()
    {
        _cluster = await BrokerCluster.StartReplicatedAsync(3);
        _topic = await ReplicatedTopic.CreateAsync(_cluster, "t", [1, 2, 3], MinTwo);
        _leader = (await _topic.BecomesAsync(partition => partition is { Leader: > 0, Isr.Length: 3 })).Leader;
        _follower = _leader == 3 ? 2 : 3;
        _other = 6 - _leader - _follower;
        await _topic.AppendAsync("a");
    }

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Fact]
    public async Task A_follower_serves_what_is_committed_and_checks_the_epoch()
    {
        for (int i = 0; i < 5; i++)
            await _topic.AppendAsync($"a{i}");

        PartitionReadResult read = await ReadAllAsync(_follower);
        (int epoch, long end) = (read.LeaderEpoch, read.HighWatermark);
        Assert.Equal(ErrorCode.OffsetNotAvailable, (await ReadAsync(end + 1, -1)).Error);
        Assert.Equal(ErrorCode.UnknownLeaderEpoch, (await ReadAsync(0, epoch + 1)).Error);
        Assert.Equal(ErrorCode.None, (await ReadAsync(end, epoch)).Error);

        // Another topic, and what is the leader's to say.
        Assert.Null(await Followers(_follower).FetchAsync(Partition, Batches.Fetch(0) with { TopicId = Guid.NewGuid() }));
        Assert.Null(await Followers(_follower).FetchAsync(Partition, Batches.Fetch(0) with { LastFetchedEpoch = epoch }));
        Assert.Null(await Followers(_leader).FetchAsync(Partition, Batches.Fetch(0)));
    }

    [Fact]
    public async Task A_wait_at_a_follower_ends_when_it_learns_that_more_is_committed()
    {
        long end = (await ReadAllAsync(_follower)).HighWatermark;
        var request = new PartitionWait(end, -1, 1 << 20, 10_000, IsolationLevel.ReadUncommitted);
        Task<PartitionOffsets> waiting = BrokerCluster.EventuallyAsync(
            async () => (await Followers(_follower).WaitForOffsetAsync(Partition, request))!, offsets => offsets?.HighWatermark > end);
        await _topic.AppendAsync("b");
        Assert.True(await waiting is { Error: ErrorCode.None, AvailableBytes: > 0 });
    }

    [Fact]
    public async Task Who_does_not_hear_from_the_leader_serves_nothing_until_it_does()
    {
        await ReadAllAsync(_follower);
        _cluster.Cut(_leader, _follower);
        await BrokerCluster.EventuallyAsync(() => FetchAsync(_follower, 0, -1), result => result is null);
        _cluster.Mend();
        await _topic.AppendAsync("b");
        await ReadAllAsync(_follower);
    }

    [Fact]
    public async Task Who_was_removed_from_the_replicas_serves_nothing()
    {
        await ReadAllAsync(_follower);
        await _cluster.Grains.GetGrain<IControllerGrain>(0).AlterPartitionReassignmentsAsync(
            new() { Topics = [new() { Name = "t", Partitions = [new() { Replicas = [_leader, _other] }] }] });
        await _topic.BecomesAsync(partition => partition is { Replicas.Length: 2, Isr.Length: 2 });
        await BrokerCluster.EventuallyAsync(() => FetchAsync(_follower, 0, -1), result => result is null);
        await _topic.AppendAsync("b");
        Assert.Null(await FetchAsync(_follower, 0, -1));
    }

    [Fact]
    public async Task A_new_leader_is_followed()
    {
        int before = (await ReadAllAsync(_follower)).LeaderEpoch;
        await _cluster.StopAsync(_leader);
        PartitionAssignment after = await _topic.BecomesAsync(partition => partition.Leader == _other || partition.Leader == _follower);
        await _topic.AppendAsync("b");
        _follower = _other + _follower - after.Leader;
        PartitionReadResult read = await ReadAllAsync(_follower);
        Assert.True(read.LeaderEpoch > before);
        Assert.Equal(ErrorCode.FencedLeaderEpoch, (await ReadAsync(0, before)).Error);
    }

    private ILocalFollowers Followers(int broker) => _cluster.Services(broker).GetRequiredService<ILocalFollowers>();

    private Task<PartitionReadResult?> FetchAsync(int broker, long offset, int epoch) =>
        Followers(broker).FetchAsync(Partition, Batches.Fetch(offset) with { CurrentLeaderEpoch = epoch });

    /// <summary>Reads at the follower as soon as it serves: on a busy machine its lease may run out in between.</summary>
    private Task<PartitionReadResult> ReadAsync(long offset, int epoch) => BrokerCluster.EventuallyAsync(
        async () => (await FetchAsync(_follower, offset, epoch))!, result => result is not null);

    /// <summary>Reads at a follower until it has all that was acknowledged, at its offsets.</summary>
    private async Task<PartitionReadResult> ReadAllAsync(int broker)
    {
        PartitionReadResult all = await BrokerCluster.EventuallyAsync(
            async () => (await FetchAsync(broker, 0, -1))!, result => result?.HighWatermark > _topic.Acknowledged[^1].Offset);
        Assert.Subset(Batches.Read(all).ToHashSet(), _topic.Acknowledged.ToHashSet());
        return all;
    }
}
