using System.Diagnostics;
using System.Globalization;
using Arus.Kafka;
using Arus.Grains;
using Microsoft.Extensions.Hosting;

namespace Arus.Server;

/// <summary>
/// Says when the broker serves: its silo is in the cluster, its listeners are bound, and the cluster knows it. Registered after the
/// services that make it so, and started after them.
/// </summary>
internal sealed class BrokerReadiness(
    IGrainFactory grains, ILocalBroker broker, KafkaListeners listeners, DataDirectory data, LocalPartitionsControl partitions,
    IHostApplicationLifetime lifetime, TextWriter output) : IHostedLifecycleService
{
    private volatile bool _ready;

    public bool IsReady => _ready;

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StartedAsync(CancellationToken cancellationToken)
    {
        ClusterDescription cluster = await grains.GetGrain<IClusterGrain>(0).DescribeAsync();
        data.CheckCluster(cluster.ClusterId);
        lifetime.ApplicationStopping.Register(partitions.Stop);
        _ready = true;
        await output.WriteLineAsync(StartLine(cluster));
    }

    public Task StoppingAsync(CancellationToken cancellationToken)
    {
        _ready = false;
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StoppedAsync(CancellationToken cancellationToken) => await output.WriteLineAsync($"Arus broker {broker.BrokerId} has stopped.");

    private string StartLine(ClusterDescription cluster)
    {
        BrokerConfig config = broker.Config;
        string kafka = string.Join(", ", listeners.Advertised.Select(endpoint => $"{endpoint.Host}:{endpoint.Port}"));
        string seconds = (DateTime.Now - Process.GetCurrentProcess().StartTime).TotalSeconds.ToString("F1", CultureInfo.InvariantCulture);
        return $"Arus broker {broker.BrokerId} of cluster {cluster.ClusterId} is ready after {seconds} s: Kafka {kafka}, " +
            $"Orleans {config.GetString(BrokerConfigs.OrleansSiloPort)}/{config.GetString(BrokerConfigs.OrleansGatewayPort)}, " +
            $"HTTP {config.GetString(BrokerConfigs.HttpEndpoint)}, data {data.FullPath}, flush {config.GetString(BrokerConfigs.Flush)}";
    }
}
