using System.Diagnostics;
using System.Globalization;
using Arus.Hosting;
using Arus.Hosting.Clustering;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Console;
using Orleans.Hosting;

namespace Arus.Server;

/// <summary>The host of the server program: one silo that is a broker, with health and metrics over HTTP.</summary>
internal static class ServerHost
{
    /// <summary>Runs until the process is told to stop. Prints a line when the broker is ready and one when it has stopped.</summary>
    /// <exception cref="StartRefusedException">The broker cannot start; the message says why.</exception>
    public static async Task RunAsync(BrokerConfig config, TextWriter output)
    {
        using IHost host = Build(config);
        try
        {
            await host.StartAsync();
        }
        catch
        {
            // The caller reports the reason. What has started stops in order, so that a silo that joined the cluster leaves it.
            host.Services.GetServices<ConsoleFormatter>().OfType<BrokerConsole>().Single().Mute();
            await host.StopAsync().ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }

        var broker = host.Services.GetRequiredService<ArusBroker>();
        await output.WriteLineAsync(ReadyLine(broker));
        await host.WaitForShutdownAsync();
        await output.WriteLineAsync($"Arus broker {broker.BrokerId} has stopped.");
    }

    private static IHost Build(BrokerConfig config)
    {
        if (config.GetString(BrokerConfigs.HttpEndpoint) == BrokerConfigs.HttpEndpointNone)
        {
            // Not a web application: its server would bind a port of its own choice when it is given none.
            HostApplicationBuilder plain = Host.CreateEmptyApplicationBuilder(null);
            Configure(plain, config);
            return plain.Build();
        }

        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "Arus.Server" });
        Configure(builder, config);
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrelCore();
        builder.WebHost.ConfigureKestrel(kestrel => Listen(kestrel, config.GetString(BrokerConfigs.HttpEndpoint)!));
        WebApplication app = builder.Build();
        app.UseRouting();
        app.MapGet("/health/live", () => Results.Text("live\n"));
        app.MapGet("/health/ready", (ArusBroker broker) => broker.IsReady
            ? Results.Text("ready\n")
            : Results.Text("not ready\n", statusCode: StatusCodes.Status503ServiceUnavailable));
        app.MapPrometheusScrapingEndpoint("/metrics");
        return app;
    }

    private static void Configure(IHostApplicationBuilder builder, BrokerConfig config)
    {
        BrokerConsole.Add(builder.Logging, config);
        builder.Services.Configure<ConsoleLifetimeOptions>(options => options.SuppressStatusMessages = true);
        builder.Services.Configure<HostOptions>(
            options => options.ShutdownTimeout = config.GetMilliseconds(BrokerConfigs.ShutdownTimeoutMs));
        builder.Services.AddHostedService<MemoryReclaimer>();
        bool traces = Telemetry.Add(builder, config);
        builder.UseOrleans(silo =>
        {
            silo.UseArusClustering(config).AddArus(config);
            if (traces)
                silo.AddActivityPropagation();
        });
    }

    private static void Listen(KestrelServerOptions kestrel, string endpoint)
    {
        kestrel.AddServerHeader = false;
        if (Endpoints.TryParseHostPort(endpoint, out HostPort address) && address.Host is "" or "0.0.0.0" or "*")
            kestrel.ListenAnyIP(address.Port);
        else
            kestrel.Listen(SiloEndpoints.Parse(BrokerConfigs.HttpEndpoint, endpoint));
    }

    private static string ReadyLine(ArusBroker broker)
    {
        BrokerConfig config = broker.Config;
        TimeSpan elapsed = DateTime.Now - Process.GetCurrentProcess().StartTime;
        return $"Arus broker {broker.BrokerId} of cluster {broker.ClusterId} is ready after " +
            $"{elapsed.TotalSeconds.ToString("F1", CultureInfo.InvariantCulture)} s: Kafka {string.Join(", ", broker.KafkaAddresses)}, " +
            $"Orleans {config.GetString(BrokerConfigs.OrleansSiloPort)}/{config.GetString(BrokerConfigs.OrleansGatewayPort)}, " +
            $"HTTP {config.GetString(BrokerConfigs.HttpEndpoint)}, data {broker.DataPath}, flush {config.GetString(BrokerConfigs.Flush)}";
    }
}
