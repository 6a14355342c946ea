using System.Net;
using System.Net.Sockets;
using Arus.Client;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Hosting;

namespace Arus.Hosting.Tests;

/// <summary>A grain of the application that hosts Arus.</summary>
public interface IJournalGrain : IGrainWithStringKey
{
    /// <summary>Produces a record to the topic that the key names, and answers its offset.</summary>
    Task<long> WriteAsync(string value);
}

public sealed class JournalGrain(IArusClient arus) : Grain, IJournalGrain
{
    public async Task<long> WriteAsync(string value)
    {
        // Without idempotence, so that its batch may be appended once more.
        await using IProducer<string, string> producer = arus.CreateProducer<string, string>(
            new ProducerOptions { EnableIdempotence = false });
        return (await producer.ProduceAsync(new(this.GetPrimaryKeyString(), "key", value))).Offset;
    }
}

/// <summary>An Orleans application that is no web application, on free ports and a directory of its own.</summary>
internal sealed class Application : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("arus-application-").FullName;

    public string LogDirectory => Path.Combine(_directory, "arus");

    /// <param name="before">Configures the silo before Arus is added.</param>
    public IHost Build(
        Action<ArusOptions>? configure = null, Action<ISiloBuilder>? before = null, params (string Key, string Value)[] settings)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create(setting.Key, (string?)setting.Value)));
        builder.UseOrleans(silo =>
        {
            silo.UseLocalhostClustering(FreePort(), FreePort());
            before?.Invoke(silo);
            silo.AddArus(options =>
            {
                options["listeners"] = "PLAINTEXT://127.0.0.1:0";
                options["log.dir"] = LogDirectory;
                configure?.Invoke(options);
            });
        });
        builder.Services.AddArusClient();
        return builder.Build();
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
