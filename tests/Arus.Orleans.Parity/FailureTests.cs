using Orleans;
using Orleans.Runtime;
using Orleans.TestingHost;

namespace Arus.Orleans.Parity;

/// <summary>
/// What is left of a cluster when a silo dies. The membership options of <see cref="ParityCluster"/> detect it within a few
/// seconds; the deadline here is generous, since a machine that builds at the same time is slow.
/// </summary>
public sealed class FailureTests
{
    private static readonly TimeSpan _deadline = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task The_grains_of_a_killed_silo_come_back_elsewhere_with_their_state()
    {
        await using InProcessTestCluster cluster = ParityCluster.Build(silos: 3);
        await cluster.DeployAsync();
        string prefix = Guid.NewGuid().ToString("N");
        ISharedStateGrain[] grains = [.. Enumerable.Range(0, 20).Select(i => cluster.Client.GetGrain<ISharedStateGrain>($"{prefix} {i}"))];
        await Task.WhenAll(grains.Select(g => g.AddAsync()));

        await cluster.KillSiloAsync(cluster.Silos[1]);

        using var deadline = new CancellationTokenSource(_deadline);
        int[] counts = await Task.WhenAll(grains.Select(g => UntilItSucceeds(g.CountAsync, deadline.Token)));
        Assert.All(counts, c => Assert.Equal(1, c));
    }

    [Fact]
    public async Task A_client_outlives_its_gateway_and_a_new_silo_joins()
    {
        await using InProcessTestCluster cluster = ParityCluster.Build(silos: 2);
        await cluster.DeployAsync();
        var grain = cluster.Client.GetGrain<ICallGrain>("a");
        Assert.Equal("a", await grain.NameAsync());

        // Whichever of the two the client is connected to, one of these deaths takes it away.
        foreach (InProcessSiloHandle silo in cluster.Silos.ToArray())
        {
            InProcessSiloHandle added = await cluster.StartAdditionalSiloAsync();
            await cluster.WaitForLivenessToStabilizeAsync();
            await cluster.KillSiloAsync(silo);
            using var deadline = new CancellationTokenSource(_deadline);
            Assert.Equal("a", await UntilItSucceeds(grain.NameAsync, deadline.Token));
            Assert.True(added.IsActive);
        }
    }

    [Fact]
    public async Task A_silo_that_is_stopped_hands_its_grains_over()
    {
        await using InProcessTestCluster cluster = ParityCluster.Build(silos: 2);
        await cluster.DeployAsync();
        string prefix = Guid.NewGuid().ToString("N");
        ISharedStateGrain[] grains = [.. Enumerable.Range(0, 10).Select(i => cluster.Client.GetGrain<ISharedStateGrain>($"{prefix} {i}"))];
        await Task.WhenAll(grains.Select(g => g.AddAsync()));

        await cluster.StopSiloAsync(cluster.Silos[1]);

        using var deadline = new CancellationTokenSource(_deadline);
        int[] counts = await Task.WhenAll(grains.Select(g => UntilItSucceeds(g.CountAsync, deadline.Token)));
        Assert.All(counts, c => Assert.Equal(1, c));
    }

    /// <summary>Calls again while the cluster still believes in the dead silo: Orleans promises no more.</summary>
    private static async Task<T> UntilItSucceeds<T>(Func<Task<T>> call, CancellationToken deadline)
    {
        while (true)
        {
            try
            {
                return await call().WaitAsync(deadline);
            }
            catch (Exception passing) when (passing is OrleansException or TimeoutException && !deadline.IsCancellationRequested)
            {
                await Task.Yield();
            }
        }
    }
}
