using System.Net;
using Arus.Kafka;
using Arus.Grains;
using Arus.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using Orleans.Hosting;

namespace Arus.Server;

/// <summary>Puts the broker together: one process, one silo, its Kafka listeners, its logs, health and metrics.</summary>
internal static class BrokerHost
{
    /// <summary>Runs until the process is told to stop.</summary>
    /// <exception cref="StartRefusedException">The broker cannot start; the message says why.</exception>
    public static async Task RunAsync(BrokerConfig config, TextWriter output)
    {
        using DataDirectory data = DataDirectory.Open(
            config.GetString(BrokerConfigs.LogDir)!, config.GetInt(BrokerConfigs.BrokerId));
        await using WebApplication app = Build(config, data, output);
        await app.RunAsync();
    }

    private static WebApplication Build(BrokerConfig config, DataDirectory data, TextWriter output)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "Arus.Server" });
        ConfigureLogging(builder.Logging);
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = config.GetMilliseconds(BrokerConfigs.ShutdownTimeoutMs));
        builder.Services.AddSingleton(data);
        builder.Services.AddSingleton<IPartitionLogProvider>(services => LogProviders.Create(config, data, services));
        builder.Host.UseConsoleLifetime(options => options.SuppressStatusMessages = true);
        builder.Host.UseOrleans(silo => ConfigureSilo(silo, config, data));
        ConfigureHttp(builder, config);

        // After Kestrel, whose memory for connections it replaces; before readiness, which waits for its registration.
        builder.Services.AddKafkaListeners();
        builder.Services.AddSingleton(new PrometheusMetrics());
        builder.Services.AddSingleton<BrokerReadiness>();
        builder.Services.AddHostedService(services => services.GetRequiredService<BrokerReadiness>());
        builder.Services.AddSingleton(output);
        WebApplication app = builder.Build();
        MapHttp(app, config);
        return app;
    }

    private static void ConfigureLogging(ILoggingBuilder logging)
    {
        logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
            console.UseUtcTimestamp = true;
        });
        logging.SetMinimumLevel(LogLevel.Information);
        logging.AddFilter("Microsoft", LogLevel.Warning);
        logging.AddFilter("Orleans", LogLevel.Warning);
        logging.AddFilter("System", LogLevel.Warning);
    }

    private static void ConfigureSilo(ISiloBuilder silo, BrokerConfig config, DataDirectory data)
    {
        int siloPort = config.GetInt(BrokerConfigs.OrleansSiloPort);
        silo.UseLocalhostClustering(
            siloPort, config.GetInt(BrokerConfigs.OrleansGatewayPort), Primary(config), config.GetString(BrokerConfigs.OrleansServiceId)!,
            config.GetString(BrokerConfigs.OrleansClusterId)!);
        silo.Configure<ClusterMembershipOptions>(options =>
        {
            options.ProbeTimeout = config.GetMilliseconds(BrokerConfigs.OrleansProbeTimeoutMs);
            options.NumMissedProbesLimit = config.GetInt(BrokerConfigs.OrleansMissedProbesLimit);
            options.TableRefreshTimeout = TimeSpan.FromSeconds(2);
        });
        silo.Configure<SiloMessagingOptions>(options => options.ResponseTimeout = config.GetMilliseconds(BrokerConfigs.OrleansResponseTimeoutMs));
        silo.Configure<GrainCollectionOptions>(options => options.CollectionAge = config.GetMilliseconds(BrokerConfigs.OrleansCollectionAgeMs));
        silo.AddFileGrainStorage(
            StorageNames.Metadata, options => options.Directory = config.GetString(BrokerConfigs.MetadataDir) ?? data.Metadata);
        silo.AddArusBroker(config, config.GetString(BrokerConfigs.LogType) == BrokerConfigs.LogTypeFile ? data.Topics : null);
    }

    private static IPEndPoint? Primary(BrokerConfig config)
    {
        if (config.GetString(BrokerConfigs.OrleansPrimaryEndpoint) is not { } text || !Endpoints.TryParseHostPort(text, out HostPort primary))
        {
            return null;
        }

        return IPAddress.TryParse(primary.Host, out IPAddress? address) ? new IPEndPoint(address, primary.Port)
            : primary.Host == "localhost" ? new IPEndPoint(IPAddress.Loopback, primary.Port)
            : throw new StartRefusedException($"{BrokerConfigs.OrleansPrimaryEndpoint}={text}: the host must be an IP address or localhost.");
    }

    private static void ConfigureHttp(WebApplicationBuilder builder, BrokerConfig config)
    {
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrelCore();
        string endpoint = config.GetString(BrokerConfigs.HttpEndpoint)!;
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            if (Endpoints.TryParseHostPort(endpoint, out HostPort address))
            {
                Listen(kestrel, address);
            }
        });
    }

    private static void Listen(Microsoft.AspNetCore.Server.Kestrel.Core.KestrelServerOptions kestrel, HostPort address)
    {
        if (address.Host is "" or "0.0.0.0" or "*")
        {
            kestrel.ListenAnyIP(address.Port);
        }
        else if (address.Host == "localhost")
        {
            kestrel.Listen(IPAddress.Loopback, address.Port);
        }
        else
        {
            kestrel.Listen(
                IPAddress.TryParse(address.Host, out IPAddress? ip) ? ip
                    : throw new StartRefusedException($"{BrokerConfigs.HttpEndpoint}={address}: the host must be an IP address or localhost."),
                address.Port);
        }
    }

    private static void MapHttp(WebApplication app, BrokerConfig config)
    {
        if (config.GetString(BrokerConfigs.HttpEndpoint) == "none")
        {
            return;
        }

        app.UseRouting();
        app.MapGet("/health/live", () => Results.Text("live\n"));
        app.MapGet("/health/ready", (BrokerReadiness readiness) => readiness.IsReady
            ? Results.Text("ready\n")
            : Results.Text("not ready\n", statusCode: StatusCodes.Status503ServiceUnavailable));
        app.MapGet("/metrics", async (HttpResponse response, PrometheusMetrics metrics) =>
        {
            using var text = new StringWriter { NewLine = "\n" };
            metrics.WriteTo(text);
            response.ContentType = PrometheusMetrics.ContentType;
            await response.WriteAsync(text.ToString());
        });
    }
}
