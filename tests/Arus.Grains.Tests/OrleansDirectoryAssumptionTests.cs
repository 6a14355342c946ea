using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Concurrency;
using Orleans.GrainDirectory;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.Runtime.Hosting;
using Orleans.Runtime.Services;
using Orleans.Services;
using Orleans.TestingHost;

namespace Arus.Grains.Tests;

/// <summary>
/// What the replication between silos relies on and Orleans does not document, each fact with the member that relies on it: calls of grain
/// services by silo, and a grain directory of one's own.
/// </summary>
public sealed class OrleansDirectoryAssumptionTests(OrleansDirectoryAssumptionTests.TwoSilos cluster)
    : IClassFixture<OrleansDirectoryAssumptionTests.TwoSilos>
{
    /// <summary>BrokerServices.Of: the service of the silo that is meant is called, from outside of any grain.</summary>
    [Fact]
    public async Task A_grain_service_is_called_by_its_silo()
    {
        foreach (int from in new[] { 0, 1 })
        {
            foreach (int to in new[] { 0, 1 })
                Assert.Equal(cluster.Address(to), await cluster.Service(from, to).WhereAsync());
        }
    }

    /// <summary>BrokerService.PushAsync: while a call waits for its records to be durable, others are served.</summary>
    [Fact]
    public async Task Calls_of_a_grain_service_interleave()
    {
        string signal = Guid.NewGuid().ToString("N");
        Task held = cluster.Service(0, 1).HoldAsync(signal);
        await OrleansAssumptionTests.Signals.WaitAsync($"{signal} held");
        await cluster.Service(0, 1).WhereAsync().WaitAsync(OrleansAssumptionTests.OneSilo.Limit);
        OrleansAssumptionTests.Signals.Set(signal);
        await held.WaitAsync(OrleansAssumptionTests.OneSilo.Limit);
    }

    /// <summary>PartitionDirectory.Lookup: a call goes to the silo that the directory names, without placement.</summary>
    [Fact]
    public async Task A_call_goes_where_the_directory_says()
    {
        string key = Guid.NewGuid().ToString("N");
        TestDirectory.Leaders[key] = cluster.Address(1);
        Assert.Equal(cluster.Address(1), await WhereAsync(from: 0, key));
        Assert.Equal(cluster.Address(1), await WhereAsync(from: 1, key));
        Assert.Equal(cluster.Address(1), await cluster.Client.GetGrain<IDirectedGrain>(key).WhereAsync());
    }

    /// <summary>
    /// PartitionDirectory.Register: callers that cached the former leader's silo are forwarded from there once its activation is gone.
    /// </summary>
    [Fact]
    public async Task A_registration_answered_with_another_silo_forwards_the_call_and_corrects_the_cache()
    {
        string key = Guid.NewGuid().ToString("N");
        TestDirectory.Leaders[key] = cluster.Address(1);
        Assert.Equal(cluster.Address(1), await WhereAsync(from: 0, key));
        await cluster.Grain(0, key).LeaveAsync();
        TestDirectory.Leaders[key] = cluster.Address(0);
        await OrleansAssumptionTests.Signals.WaitAsync($"{key} left {cluster.Address(1)}");
        Assert.Equal(cluster.Address(0), await WhereAsync(from: 0, key));
        Assert.Equal(cluster.Address(0), await WhereAsync(from: 1, key));
    }

    /// <summary>
    /// PartitionDirectory.Register: while there is no leader, a silo's own activation is accepted and answers with the reason; once there
    /// is one, the call is not answered at the wrong silo again, whatever addresses are cached (dotnet/orleans#9685).
    /// </summary>
    [Fact]
    public async Task An_activation_accepted_without_a_leader_is_not_made_again_once_there_is_one()
    {
        string key = Guid.NewGuid().ToString("N");
        SiloAddress first = await WhereAsync(from: 0, key);
        SiloAddress other = first.Equals(cluster.Address(0)) ? cluster.Address(1) : cluster.Address(0);
        await cluster.Grain(0, key).LeaveAsync();
        await OrleansAssumptionTests.Signals.WaitAsync($"{key} left {first}");
        TestDirectory.Leaders[key] = other;
        foreach (int from in new[] { 0, 1, 0, 1 })
            Assert.Equal(other, await WhereAsync(from, key));
    }

    private Task<SiloAddress> WhereAsync(int from, string key) =>
        cluster.Grain(from, key).WhereAsync().WaitAsync(OrleansAssumptionTests.OneSilo.Limit);

    public sealed class TwoSilos : IAsyncLifetime
    {
        private InProcessTestCluster _cluster = null!;

        internal IGrainFactory Client => _cluster.Client;

        public async Task InitializeAsync()
        {
            var builder = new InProcessTestClusterBuilder(2);
            builder.ConfigureSilo((_, silo) =>
            {
                silo.AddGrainService<AssumedService>();
                silo.Services.AddSingleton<AssumedServices>();
                silo.AddGrainDirectory(TestDirectory.Name, (_, _) => new TestDirectory());
            });
            _cluster = builder.Build();
            await _cluster.DeployAsync().WaitAsync(OrleansAssumptionTests.OneSilo.Limit);
        }

        public async Task DisposeAsync() => await _cluster.DisposeAsync();

        internal SiloAddress Address(int silo) => _cluster.Silos[silo].SiloAddress;

        internal IDirectedGrain Grain(int from, string key) =>
            _cluster.Silos[from].ServiceProvider.GetRequiredService<IGrainFactory>().GetGrain<IDirectedGrain>(key);

        internal IAssumedService Service(int from, int to) =>
            _cluster.Silos[from].ServiceProvider.GetRequiredService<AssumedServices>().Of(Address(to));
    }
}

public interface IAssumedService : IGrainService
{
    Task<SiloAddress> WhereAsync();

    Task HoldAsync(string signal);
}

internal sealed class AssumedService(GrainId id, Silo silo, Microsoft.Extensions.Logging.ILoggerFactory loggers, ILocalSiloDetails details)
    : GrainService(id, silo, loggers), IAssumedService
{
    public Task<SiloAddress> WhereAsync() => Task.FromResult(details.SiloAddress);

    public async Task HoldAsync(string signal)
    {
        OrleansAssumptionTests.Signals.Set($"{signal} held");
        await OrleansAssumptionTests.Signals.WaitAsync(signal);
    }
}

internal sealed class AssumedServices(IServiceProvider services) : GrainServiceClient<IAssumedService>(services)
{
    public IAssumedService Of(SiloAddress silo) => GetGrainService(silo);
}

public interface IDirectedGrain : IGrainWithStringKey
{
    Task<SiloAddress> WhereAsync();

    [OneWay]
    Task LeaveAsync();
}

[GrainDirectory(TestDirectory.Name)]
internal sealed class DirectedGrain(ILocalSiloDetails details) : Grain, IDirectedGrain
{
    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        OrleansAssumptionTests.Signals.Set($"{this.GetPrimaryKeyString()} left {details.SiloAddress}");
        return Task.CompletedTask;
    }

    public Task<SiloAddress> WhereAsync() => Task.FromResult(details.SiloAddress);

    public Task LeaveAsync()
    {
        DeactivateOnIdle();
        return Task.CompletedTask;
    }
}

/// <summary>Answers from a table of leaders that all silos share, and keeps no registrations.</summary>
internal sealed class TestDirectory : IGrainDirectory
{
    public const string Name = "arus-test";

    public static ConcurrentDictionary<string, SiloAddress> Leaders { get; } = new();

    public Task<GrainAddress?> Lookup(GrainId grainId) => Task.FromResult(Find(grainId));

    public Task<GrainAddress?> Register(GrainAddress address) => Task.FromResult<GrainAddress?>(
        Find(address.GrainId) is { } leader && !leader.SiloAddress!.Equals(address.SiloAddress) ? leader : address);

    public Task<GrainAddress?> Register(GrainAddress address, GrainAddress? previousAddress) => Register(address);

    public Task Unregister(GrainAddress address) => Task.CompletedTask;

    public Task UnregisterSilos(List<SiloAddress> siloAddresses) => Task.CompletedTask;

    private static GrainAddress? Find(GrainId grain) => !Leaders.TryGetValue(grain.Key.ToString()!, out SiloAddress? silo) ? null
        : new GrainAddress { GrainId = grain, ActivationId = ActivationId.NewId(), SiloAddress = silo };
}
