using System.Collections.Immutable;
using Arus.Coordination.Replication;
using Arus.Grains;
using Arus.Protocol;

namespace Arus.Cluster.Tests;

/// <summary>A database of partition states that does not know any more who is in sync, as one that was restored from a backup.</summary>
public sealed class MetadataRestoreClusterTests : IAsyncLifetime
{
    private BrokerCluster _cluster = null!;

    private IControllerGrain Controller => _cluster.Grains.GetGrain<IControllerGrain>(0);

    public async Task InitializeAsync() => _cluster = await BrokerCluster.StartReplicatedAsync(3);

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Fact]
    public async Task The_logs_say_who_leads_and_nothing_acknowledged_is_lost()
    {
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(_cluster, "t", [1, 2], ("min.insync.replicas", "2"));
        await topic.BecomesAsync(partition => partition is { Leader: > 0, Isr.Length: 2 });
        for (int i = 0; i < 5; i++)
            await topic.AppendAsync($"a{i}");

        Assert.Empty((await Controller.RestoreMetadataAsync(isForced: false)).ReplicaElectionResults);
        await _cluster.StopAsync(1);
        await _cluster.StopAsync(2);
        await ForgetAsync();
        await _cluster.RestartAsync(1);
        await BrokerCluster.EventuallyAsync(
            () => RestoreAsync(isForced: false),
            result => result is { ErrorCode: ErrorCode.ReplicaNotAvailable } && result.ErrorMessage!.Contains("The log of broker 2 "));
        Assert.Equal(-1, (await topic.BecomesAsync(_ => true)).Leader);
        await _cluster.RestartAsync(2);
        ElectLeadersResponse.ElectedPartition restored = (await BrokerCluster.EventuallyAsync(
            () => RestoreAsync(isForced: false), result => result?.ErrorCode is ErrorCode.None))!;
        Assert.StartsWith("led by broker ", restored.ErrorMessage, StringComparison.Ordinal);
        await topic.BecomesAsync(partition => partition is { Leader: > 0, Isr.Length: 2 });
        await topic.AppendAsync("b");
        await topic.CheckAsync();
    }

    private async Task<ElectLeadersResponse.ElectedPartition?> RestoreAsync(bool isForced) =>
        (await Controller.RestoreMetadataAsync(isForced)).ReplicaElectionResults.SingleOrDefault()?.PartitionResult.Single();

    /// <summary>As <c>arus db forget-leaders</c> does.</summary>
    private async Task ForgetAsync()
    {
        PartitionState state = (await _cluster.States!.ReadAsync(0)).Single(state => state.Topic == "t");
        StateSwapResult[] swapped = await _cluster.States.SwapAsync(
            [state with { Leader = -1, Isr = ImmutableArray<ReplicaId>.Empty, Elr = ImmutableArray<ReplicaId>.Empty }]);
        Assert.True(swapped[0].Won);
    }
}
