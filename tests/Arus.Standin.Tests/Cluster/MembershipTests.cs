using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.TestingHost;

namespace Arus.Standin.Tests.Cluster;

public sealed class MembershipTests
{
    private const string ClusterId = "membership-tests";

    [Fact]
    public async Task A_grain_has_one_activation_however_silos_come_and_go()
    {
        await using InProcessTestCluster cluster = new InProcessTestClusterBuilder(2).Build();
        await cluster.DeployAsync();
        for (int round = 0; round < 3; round++)
        {
            await cluster.WaitForLivenessToStabilizeAsync();
            for (int key = 0; key < 50; key++)
            {
                var places = new HashSet<string>();
                foreach (InProcessSiloHandle silo in cluster.Silos)
                {
                    places.Add(await silo.ServiceProvider.GetRequiredService<IGrainFactory>().GetGrain<IEchoGrain>($"one-{key}").WhereAsync());
                }

                Assert.Single(places);
            }

            if (round == 0)
            {
                await cluster.StartAdditionalSiloAsync();
            }
            else
            {
                await cluster.StopSiloAsync(cluster.Silos[0]);
            }
        }
    }

    [Fact]
    public async Task Silos_outlive_their_primary_and_find_it_again()
    {
        int[] ports = TestPorts.Take(6);
        IHost primary = await StartAsync(ports, 0);
        using IHost second = await StartAsync(ports, 1);
        using IHost third = await StartAsync(ports, 2);
        await UntilActiveAsync(second, 3);
        await UntilActiveAsync(third, 3);

        primary.Services.GetRequiredService<SiloRuntime>().Kill();
        await UntilActiveAsync(second, 2);
        await UntilActiveAsync(third, 2);
        var factory = second.Services.GetRequiredService<IGrainFactory>();
        for (int key = 0; key < 20; key++)
        {
            Assert.Equal("x", await factory.GetGrain<IEchoGrain>($"primary-{key}").EchoAsync("x"));
        }

        using IHost again = await StartAsync(ports, 0);
        await UntilActiveAsync(again, 3);
        await UntilActiveAsync(second, 3);
        Dictionary<SiloAddress, SiloStatus> hosts = await again.Services.GetRequiredService<IGrainFactory>().GetGrain<IManagementGrain>(0).GetHosts();
        Assert.Equal(4, hosts.Count);
        Assert.Single(hosts.Values, status => status == SiloStatus.Dead);
        foreach (IHost host in new[] { again, third, second })
        {
            await host.StopAsync();
        }

        primary.Dispose();
    }

    [Fact]
    public async Task A_silo_that_others_declare_dead_stops_itself()
    {
        await using InProcessTestCluster cluster = new InProcessTestClusterBuilder(2).Build();
        await cluster.DeployAsync();
        await cluster.WaitForLivenessToStabilizeAsync();
        InProcessSiloHandle victim = cluster.Silos[1];
        var stopping = new TaskCompletionSource();
        victim.ServiceProvider.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping.Register(stopping.SetResult);
        Assert.True(await cluster.Silos[0].ServiceProvider.GetRequiredService<IClusterMembershipService>().TryKill(victim.SiloAddress));
        await stopping.Task.WaitAsync(TimeSpan.FromSeconds(30));
    }

    [Fact]
    public async Task Calls_in_flight_to_a_killed_silo_fail_at_once()
    {
        await using InProcessTestCluster cluster = new InProcessTestClusterBuilder(2).Build();
        await cluster.DeployAsync();
        InProcessSiloHandle victim = cluster.Silos[1];
        IEchoGrain? grain = null;
        for (int key = 0; grain is null; key++)
        {
            var candidate = cluster.Silos[0].ServiceProvider.GetRequiredService<IGrainFactory>().GetGrain<IEchoGrain>($"victim-{key}");
            grain = await candidate.WhereAsync() == victim.SiloAddress.ToString() ? candidate : null;
        }

        Task waiting = grain.WaitForeverAsync();
        await cluster.KillSiloAsync(victim);
        await Assert.ThrowsAsync<SiloUnavailableException>(() => waiting.WaitAsync(TimeSpan.FromSeconds(20)));
    }

    [Fact]
    public async Task A_killed_silo_activates_nothing_for_a_request_that_was_still_on_its_way_in()
    {
        await using InProcessTestCluster cluster = new InProcessTestClusterBuilder(2).Build();
        await cluster.DeployAsync();
        InProcessSiloHandle victim = cluster.Silos[1];
        var runtime = victim.ServiceProvider.GetRequiredService<SiloRuntime>();
        GrainId late = cluster.Client.GetGrain<IEchoGrain>("late").GetGrainId();
        await cluster.KillSiloAsync(victim);
        var header = new InvocationHeader { Target = late, Reply = new RemoteReply(runtime, null!, 0), Context = null, Deadline = long.MaxValue };
        runtime.Catalog.Receive(runtime.Catalog.FindClass(late.Type)!, new RawInvocation(0, header, default));
        Assert.False(runtime.Catalog.TryGet(late, out _));
    }

    [Fact]
    public async Task A_silo_that_leaves_answers_what_it_has_begun_and_hands_over_the_rest()
    {
        await using InProcessTestCluster cluster = new InProcessTestClusterBuilder(2).Build();
        await cluster.DeployAsync();
        InProcessSiloHandle leaving = cluster.Silos[1];
        IEchoGrain? grain = null;
        for (int key = 0; grain is null; key++)
        {
            var candidate = cluster.Client.GetGrain<IEchoGrain>($"leaving-{key}");
            grain = await candidate.WhereAsync() == leaving.SiloAddress.ToString() ? candidate : null;
        }

        Task<string> begun = grain.WaitForGateAsync();
        await Gates.Reached.Task.WaitAsync(TimeSpan.FromSeconds(20));
        Task<string> queued = grain.EchoAsync("queued");
        var membership = cluster.Silos[0].ServiceProvider.GetRequiredService<IClusterMembershipService>();
        Task stopping = cluster.StopSiloAsync(leaving);
        using (var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20)))
        {
            await foreach (ClusterMembershipSnapshot snapshot in membership.MembershipUpdates.WithCancellation(timeout.Token))
            {
                if (snapshot.GetSiloStatus(leaving.SiloAddress) == SiloStatus.ShuttingDown)
                {
                    break;
                }
            }
        }

        Gates.Open.SetResult();
        Assert.Equal(leaving.SiloAddress.ToString(), await begun);
        Assert.Equal("queued", await queued);
        await stopping;
        Assert.Equal(cluster.Silos[0].SiloAddress.ToString(), await grain.WhereAsync());
    }

    private static async Task<IHost> StartAsync(int[] ports, int index)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.UseOrleans(silo => silo
            .UseLocalhostClustering(ports[index], ports[index + 3], new IPEndPoint(IPAddress.Loopback, ports[0]), ClusterId, ClusterId)
            .Configure<SiloOptions>(options => options.SiloName = $"broker-{index}")
            .Configure<ClusterMembershipOptions>(options => (options.ProbeTimeout, options.NumMissedProbesLimit) = (TimeSpan.FromMilliseconds(500), 3)));
        IHost host = builder.Build();
        await host.StartAsync();
        return host;
    }

    private static async Task UntilActiveAsync(IHost host, int count)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(40));
        await foreach (ClusterMembershipSnapshot snapshot in host.Services.GetRequiredService<IClusterMembershipService>().MembershipUpdates.WithCancellation(timeout.Token))
        {
            if (snapshot.Members.Values.Count(member => member.Status == SiloStatus.Active) == count)
            {
                return;
            }
        }
    }
}
