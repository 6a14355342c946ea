using Microsoft.Extensions.Hosting;
using Orleans.Hosting;

namespace Orleans.TestingHost;

/// <summary>Describes a cluster whose silos and client all live in the test's process, each with a host of its own.</summary>
public sealed class InProcessTestClusterBuilder
{
    public InProcessTestClusterBuilder()
        : this(2)
    {
    }

    public InProcessTestClusterBuilder(short initialSilosCount) =>
        Options = new InProcessTestClusterOptions { InitialSilosCount = initialSilosCount, ClusterId = CreateClusterId(), ServiceId = Guid.NewGuid().ToString("N") };

    public InProcessTestClusterOptions Options { get; }

    public InProcessTestCluster Build() => new(Options);

    public InProcessTestClusterBuilder ConfigureSilo(Action<InProcessTestSiloSpecificOptions, ISiloBuilder> configureSiloDelegate) =>
        ConfigureSiloHost((options, host) => host.UseOrleans(silo => configureSiloDelegate(options, silo)));

    public InProcessTestClusterBuilder ConfigureSiloHost(Action<InProcessTestSiloSpecificOptions, IHostApplicationBuilder> configureSiloHostDelegate)
    {
        Options.SiloHostConfigurationDelegates.Add(configureSiloHostDelegate);
        return this;
    }

    public InProcessTestClusterBuilder ConfigureClient(Action<IClientBuilder> configureClientDelegate) =>
        ConfigureClientHost(host => host.UseOrleansClient(configureClientDelegate));

    public InProcessTestClusterBuilder ConfigureClientHost(Action<IHostApplicationBuilder> configureHostDelegate)
    {
        Options.ClientHostConfigurationDelegates.Add(configureHostDelegate);
        return this;
    }

    /// <summary>For the hosts of silos and of the client.</summary>
    public InProcessTestClusterBuilder ConfigureHost(Action<IHostApplicationBuilder> configureDelegate) =>
        ConfigureSiloHost((_, host) => configureDelegate(host)).ConfigureClientHost(configureDelegate);

    public static string CreateClusterId() => $"testcluster-{Guid.NewGuid():N}";
}

public sealed class InProcessTestClusterOptions
{
    public string ClusterId { get; set; } = "";

    public string ServiceId { get; set; } = "";

    public short InitialSilosCount { get; set; }

    public bool InitializeClientOnDeploy { get; set; } = true;

    public List<Action<InProcessTestSiloSpecificOptions, IHostApplicationBuilder>> SiloHostConfigurationDelegates { get; } = [];

    public List<Action<IHostApplicationBuilder>> ClientHostConfigurationDelegates { get; } = [];
}

public sealed class InProcessTestSiloSpecificOptions
{
    public string SiloName { get; set; } = "";

    public int SiloPort { get; set; }

    public int GatewayPort { get; set; }
}
