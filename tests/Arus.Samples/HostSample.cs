using System.Net;
using System.Net.Sockets;
using Arus.Client;
using Arus.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Hosting;

namespace Arus.Samples;

/// <summary>The snippet of README.md that hosts a broker in an application.</summary>
internal static class HostSample
{
    public static async Task RunAsync()
    {
        int[] ports = FreePorts(3);
        (int siloPort, int gatewayPort, int kafkaPort) = (ports[0], ports[1], ports[2]);
        string directory = Directory.CreateTempSubdirectory("arus-sample-").FullName;

        // sample: host
        HostApplicationBuilder builder = Host.CreateApplicationBuilder();
        builder.UseOrleans(silo => silo
            .UseLocalhostClustering(siloPort, gatewayPort)
            .AddArus(options =>
            {
                options["listeners"] = $"PLAINTEXT://127.0.0.1:{kafkaPort}";
                options["log.dir"] = directory;
            }));
        builder.Services.AddArusClient();
        using IHost host = builder.Build();
        await host.StartAsync();

        // Kafka clients connect to these addresses; the application's own grains and services use IArusClient.
        IReadOnlyList<HostPort> addresses = host.Services.GetRequiredService<ArusBroker>().KafkaAddresses;
        // end
        await host.Services.GetRequiredService<IArusClient>().Admin.CreateTopicAsync(new NewTopic("hosted", Partitions: 1));
        using var client = new TcpClient();
        await client.ConnectAsync(addresses[0].Host, addresses[0].Port);
        await host.StopAsync();
        Directory.Delete(directory, recursive: true);
    }

    private static int[] FreePorts(int count)
    {
        TcpListener[] listeners = [.. Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
        Array.ForEach(listeners, listener => listener.Start());
        int[] ports = [.. listeners.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port)];
        Array.ForEach(listeners, listener => listener.Stop());
        return ports;
    }
}
