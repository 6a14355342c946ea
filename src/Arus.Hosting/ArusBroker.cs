using Arus.Grains;
using Arus.Hosting.Database;
using Arus.Kafka;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Arus.Hosting;

/// <summary>
/// The broker that <c>AddArus</c> put into this process, among the services of its host. Safe for use by any thread.
/// </summary>
public sealed partial class ArusBroker : IHostedLifecycleService
{
    private readonly IGrainFactory _grains;
    private readonly DataDirectory _data;
    private readonly IReadOnlyList<KafkaListener> _listeners;
    private readonly ILogger _logger;
    private volatile string? _clusterId;
    private volatile bool _ready;

    internal ArusBroker(
        BrokerConfig config, IGrainFactory grains, DataDirectory data, IReadOnlyList<KafkaListener> listeners, ILogger<ArusBroker> logger)
    {
        Config = config;
        BrokerId = config.GetInt(BrokerConfigs.BrokerId);
        _grains = grains;
        _data = data;
        _listeners = listeners;
        _logger = logger;
    }

    /// <summary>This broker's number in the cluster (<c>broker.id</c>).</summary>
    public int BrokerId { get; }

    /// <summary>What the broker was started with.</summary>
    public BrokerConfig Config { get; }

    /// <summary>The id that the cluster got when it was created; null until the broker has been ready once.</summary>
    public string? ClusterId => _clusterId;

    /// <summary>
    /// Whether the broker serves: its silo is in the cluster, its listeners are bound, and the cluster knows it. True from the end of the
    /// host's start until the host begins to stop.
    /// </summary>
    public bool IsReady => _ready;

    /// <summary>
    /// The addresses that Kafka clients are told, in the order of <c>listeners</c>. Where the configuration says port 0 the number is
    /// right once <see cref="IsReady"/>.
    /// </summary>
    public IReadOnlyList<HostPort> KafkaAddresses =>
        [.. _listeners.Select(listener => new HostPort(listener.Advertised.Host, listener.Advertised.Port))];

    /// <summary>The full path of <c>log.dir</c>.</summary>
    public string DataPath => _data.FullPath;

    Task IHostedLifecycleService.StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    Task IHostedService.StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    async Task IHostedLifecycleService.StartedAsync(CancellationToken cancellationToken)
    {
        ClusterDescription cluster = await _grains.GetGrain<IClusterGrain>(0).DescribeAsync();
        _data.CheckCluster(cluster.ClusterId, ClusterDatabase.IsUsedBy(Config));
        _clusterId = cluster.ClusterId;
        _ready = true;
        LogReady(BrokerId, cluster.ClusterId, string.Join(", ", KafkaAddresses));
    }

    Task IHostedLifecycleService.StoppingAsync(CancellationToken cancellationToken)
    {
        _ready = false;
        return Task.CompletedTask;
    }

    Task IHostedService.StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    Task IHostedLifecycleService.StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    [LoggerMessage(Level = LogLevel.Information, Message = "Broker {Broker} of cluster {Cluster} is ready: Kafka {Addresses}")]
    private partial void LogReady(int broker, string cluster, string addresses);
}
