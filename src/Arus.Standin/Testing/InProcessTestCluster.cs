using System.Collections.ObjectModel;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Runtime;

namespace Orleans.TestingHost;

/// <summary>
/// Silos and a client in one process, talking over TCP as separate processes would. A new silo joins through any live one.
/// </summary>
public sealed class InProcessTestCluster : IDisposable, IAsyncDisposable
{
    private readonly List<InProcessSiloHandle> _silos = [];
    private readonly List<InProcessSiloHandle> _created = [];
    private readonly int[] _gatewayPorts;
    private IHost? _clientHost;
    private int _started;

    internal InProcessTestCluster(InProcessTestClusterOptions options)
    {
        Options = options;

        // The client knows the gateways of silos that are yet to come, too.
        _gatewayPorts = FreePorts(Math.Max(options.InitialSilosCount + 8, 16));
    }

    public InProcessTestClusterOptions Options { get; }

    public ReadOnlyCollection<InProcessSiloHandle> Silos
    {
        get
        {
            lock (_silos)
            {
                return new List<InProcessSiloHandle>(_silos).AsReadOnly();
            }
        }
    }

    public IClusterClient Client => _clientHost?.Services.GetRequiredService<IClusterClient>()
        ?? throw new InvalidOperationException("The test cluster client is unavailable because the cluster has not been deployed or has been stopped.");

    public async Task DeployAsync()
    {
        await StartSilosAsync(Options.InitialSilosCount);
        if (Options.InitializeClientOnDeploy)
        {
            await InitializeClientAsync();
        }
    }

    public async Task<List<InProcessSiloHandle>> StartSilosAsync(int silosToStart)
    {
        var started = new List<InProcessSiloHandle>();
        for (int count = 0; count < silosToStart; count++)
        {
            started.Add(await StartAdditionalSiloAsync());
        }

        return started;
    }

    public async Task<InProcessSiloHandle> StartAdditionalSiloAsync()
    {
        int instance = _started++;
        if (instance >= _gatewayPorts.Length)
        {
            throw new InvalidOperationException($"A test cluster starts at most {_gatewayPorts.Length} silos in its life.");
        }

        InProcessSiloHandle handle = await CreateSiloAsync(new InProcessTestSiloSpecificOptions
        {
            SiloName = $"Silo_{instance}", SiloPort = FreePorts(1)[0], GatewayPort = _gatewayPorts[instance],
        });
        handle.InstanceNumber = (short)instance;
        lock (_silos)
        {
            _silos.Add(handle);
        }

        return handle;
    }

    /// <summary>Starts a silo that does not count as one of <see cref="Silos"/>.</summary>
    public async Task<InProcessSiloHandle> CreateSiloAsync(InProcessTestSiloSpecificOptions siloOptions)
    {
        var builder = new HostApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true, ApplicationName = siloOptions.SiloName });
        builder.UseOrleans(silo =>
        {
            silo.UseLocalhostClustering(siloOptions.SiloPort, siloOptions.GatewayPort, LiveSilo(), Options.ServiceId, Options.ClusterId);
            silo.Services.Configure<SiloOptions>(options => options.SiloName = siloOptions.SiloName);
            silo.Services.Configure<ClusterMembershipOptions>(options => (options.ProbeTimeout, options.NumMissedProbesLimit) = (TimeSpan.FromSeconds(1), 3));
        });
        Options.SiloHostConfigurationDelegates.ForEach(configure => configure(siloOptions, builder));
        IHost host = builder.Build();
        try
        {
            await host.StartAsync();
        }
        catch
        {
            host.Dispose();
            throw;
        }

        var details = host.Services.GetRequiredService<ILocalSiloDetails>();
        var handle = new InProcessSiloHandle
        {
            Name = details.Name, SiloAddress = details.SiloAddress, GatewayAddress = details.GatewayAddress, SiloHost = host,
        };
        lock (_silos)
        {
            _created.Add(handle);
        }

        return handle;
    }

    public async Task InitializeClientAsync()
    {
        var builder = new HostApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true, ApplicationName = "TestClusterClient" });
        builder.UseOrleansClient(client => client.UseLocalhostClustering(_gatewayPorts, Options.ServiceId, Options.ClusterId));
        Options.ClientHostConfigurationDelegates.ForEach(configure => configure(builder));
        _clientHost = builder.Build();
        await _clientHost.StartAsync();
    }

    public async Task StopClusterClientAsync()
    {
        if (_clientHost is { } host)
        {
            _clientHost = null;
            await host.StopAsync();
            host.Dispose();
        }
    }

    public Task KillClientAsync() => StopClusterClientAsync();

    /// <summary>As if its process were killed.</summary>
    public async Task KillSiloAsync(InProcessSiloHandle instance)
    {
        Forget(instance);
        await instance.StopSiloAsync(stopGracefully: false);
    }

    public async Task StopSiloAsync(InProcessSiloHandle instance)
    {
        Forget(instance);
        await instance.StopSiloAsync(stopGracefully: true);
    }

    /// <summary>Stops a silo and starts a new one in its stead.</summary>
    public async Task<InProcessSiloHandle?> RestartSiloAsync(InProcessSiloHandle instance)
    {
        await StopSiloAsync(instance);
        return await StartAdditionalSiloAsync();
    }

    public async Task StopSilosAsync()
    {
        foreach (InProcessSiloHandle silo in Silos.Reverse())
        {
            await StopSiloAsync(silo);
        }
    }

    public async Task StopAllSilosAsync()
    {
        await StopClusterClientAsync();
        await StopSilosAsync();
    }

    public IEnumerable<InProcessSiloHandle> GetActiveSilos() => Silos.Where(silo => silo.IsActive);

    public InProcessSiloHandle? GetSiloForAddress(SiloAddress siloAddress) => Silos.FirstOrDefault(silo => silo.SiloAddress.Equals(siloAddress));

    public IServiceProvider GetSiloServiceProvider(SiloAddress? silo = null) => silo is null
        ? Silos[0].ServiceProvider
        : (GetSiloForAddress(silo) ?? throw new ArgumentException($"The provided silo address '{silo}' is unknown.")).ServiceProvider;

    public static TimeSpan GetLivenessStabilizationTime(ClusterMembershipOptions clusterMembershipOptions, bool didKill = false) =>
        didKill ? clusterMembershipOptions.ProbeTimeout * (clusterMembershipOptions.NumMissedProbesLimit + 1) : TimeSpan.FromMilliseconds(500);

    /// <summary>Waits until every silo sees exactly the live ones as active.</summary>
    public async Task WaitForLivenessToStabilizeAsync(bool didKill = false)
    {
        InProcessSiloHandle[] live = [.. GetActiveSilos()];
        HashSet<SiloAddress> expected = [.. live.Select(silo => silo.SiloAddress)];
        TimeSpan limit = live.Length == 0 ? TimeSpan.Zero : 20 * live[0].ServiceProvider.GetRequiredService<IOptions<ClusterMembershipOptions>>().Value.ProbeTimeout;
        using var timeout = new CancellationTokenSource(limit);
        foreach (InProcessSiloHandle silo in live)
        {
            var membership = silo.ServiceProvider.GetRequiredService<IClusterMembershipService>();
            await foreach (ClusterMembershipSnapshot snapshot in membership.MembershipUpdates.WithCancellation(timeout.Token))
            {
                if (expected.SetEquals(snapshot.Members.Values.Where(member => member.Status == SiloStatus.Active).Select(member => member.SiloAddress)))
                {
                    break;
                }
            }
        }
    }

    public void Dispose()
    {
        _clientHost?.Dispose();
        _created.ForEach(silo => silo.Dispose());
    }

    public async ValueTask DisposeAsync()
    {
        await StopAllSilosAsync();
        foreach (InProcessSiloHandle silo in _created)
        {
            await silo.DisposeAsync();
        }
    }

    private void Forget(InProcessSiloHandle handle)
    {
        lock (_silos)
        {
            _silos.Remove(handle);
        }
    }

    private IPEndPoint? LiveSilo() => GetActiveSilos().FirstOrDefault()?.SiloAddress.Endpoint;

    /// <summary>Ports that were free a moment ago, below those that the system hands out by itself.</summary>
    private static int[] FreePorts(int count)
    {
        var found = new List<int>();
        while (found.Count < count)
        {
            int port = Random.Shared.Next(20_000, 32_000);
            if (found.Contains(port))
            {
                continue;
            }

            using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                probe.Bind(new IPEndPoint(IPAddress.Loopback, port));
                found.Add(port);
            }
            catch (SocketException)
            {
                // Taken; try another.
            }
        }

        return [.. found];
    }
}
