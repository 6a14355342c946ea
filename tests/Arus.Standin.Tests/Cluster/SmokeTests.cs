using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.TestingHost;

namespace Arus.Standin.Tests.Cluster;

public sealed class SmokeTests
{
    [Fact]
    public async Task One_silo_serves_itself()
    {
        await using InProcessTestCluster cluster = new InProcessTestClusterBuilder(1) { Options = { InitializeClientOnDeploy = false } }
            .ConfigureSilo((_, silo) => silo.Configure<GrainCollectionOptions>(options => options.DeactivationTimeout = TimeSpan.FromMilliseconds(100)))
            .Build();
        await cluster.DeployAsync();
        var factory = cluster.GetSiloServiceProvider().GetRequiredService<IGrainFactory>();
        var grain = factory.GetGrain<IEchoGrain>("a");
        Assert.Equal("hello", await grain.EchoAsync("hello"));
        Assert.Equal("hello", await grain.CallOtherAsync("b", "hello"));
        Assert.Equal(45, await grain.ManyAsync(1, 2, 3, 4, 5, 6, 7, 8, 9));
        var thrown = await Assert.ThrowsAsync<InvalidOperationException>(() => grain.ThrowAsync("oops"));
        Assert.Equal("oops", thrown.Message);
        await Assert.ThrowsAsync<TimeoutException>(() => grain.HangAsync());
    }

    [Fact]
    public async Task Silos_and_a_client_call_one_another_and_outlive_a_killed_silo()
    {
        await using InProcessTestCluster cluster = new InProcessTestClusterBuilder(2).Build();
        await cluster.DeployAsync();
        await cluster.WaitForLivenessToStabilizeAsync();
        var places = new HashSet<string>();
        for (int key = 0; key < 40; key++)
        {
            var grain = cluster.Client.GetGrain<IEchoGrain>(key.ToString());
            Assert.Equal("x", await grain.EchoAsync("x"));
            places.Add(await grain.WhereAsync());
            Assert.Equal("y", await grain.CallOtherAsync((key + 1).ToString(), "y"));
            Assert.Equal(100_000, (await grain.BytesAsync(new byte[100_000])).Length);
            var thrown = await Assert.ThrowsAsync<InvalidOperationException>(() => grain.ThrowAsync("oops"));
            Assert.Equal("oops", thrown.Message);
        }

        Assert.Equal(2, places.Count);
        var observer = new Observer();
        IEchoObserver reference = cluster.Client.CreateObjectReference<IEchoObserver>(observer);
        foreach (int key in Enumerable.Range(0, 6))
        {
            await cluster.Client.GetGrain<IEchoGrain>(key.ToString()).SubscribeAsync(reference, "to you");
        }

        Assert.Equal(6, observer.Count);
        await cluster.KillSiloAsync(cluster.Silos[1]);
        await cluster.WaitForLivenessToStabilizeAsync(didKill: true);
        for (int key = 0; key < 40; key++)
        {
            Assert.Equal("x", await cluster.Client.GetGrain<IEchoGrain>(key.ToString()).EchoAsync("x"));
        }

        await cluster.StartAdditionalSiloAsync();
        for (int key = 0; key < 40; key++)
        {
            Assert.Equal("x", await cluster.Client.GetGrain<IEchoGrain>(key.ToString()).EchoAsync("x"));
        }

        GC.KeepAlive(observer);
    }

    private sealed class Observer : IEchoObserver
    {
        public int Count;

        public Task OnTextAsync(string text)
        {
            Interlocked.Increment(ref Count);
            return Task.CompletedTask;
        }
    }
}
