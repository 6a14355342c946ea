using System.Net;
using Arus.Client;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using Orleans.Hosting;

namespace Arus.Chaos;

/// <summary>An Orleans client of the cluster, which knows the gateways of all brokers.</summary>
internal sealed class NativeConnection : IAsyncDisposable
{
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(5);

    private const int MaxMessage = 300;

    private readonly IHost _host;

    private NativeConnection(IHost host) => _host = host;

    public IArusClient Client => _host.Services.GetRequiredService<IArusClient>();

    /// <param name="journal">Gets what the client logs.</param>
    public static async Task<NativeConnection> ConnectAsync(Cluster cluster, Journal journal)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Logging.ClearProviders().AddProvider(new JournalLogs(journal)).AddFilter("Arus.Client", LogLevel.Debug);
        IPEndPoint[] gateways = [.. cluster.Brokers.Select(broker => new IPEndPoint(broker.Address, Broker.GatewayPort))];
        builder.UseOrleansClient(client => client.UseStaticClustering(gateways).UseArusTransport());
        builder.Services.Configure<ClusterOptions>(options => (options.ClusterId, options.ServiceId) = ("arus", "arus"));
        builder.Services.AddArusClient(options => options.ClientId = "arus-chaos");
        IHost host = builder.Build();
        await host.StartAsync();
        return new NativeConnection(host);
    }

    public async ValueTask DisposeAsync()
    {
        using var briefly = new CancellationTokenSource(StopLimit);
        try
        {
            await _host.StopAsync(briefly.Token);
        }
        catch (OperationCanceledException)
        {
            // A silo that is gone does not take the farewell.
        }

        _host.Dispose();
    }

    /// <summary>Writes what is logged to the journal.</summary>
    private sealed class JournalLogs(Journal journal) : ILoggerProvider
    {
        public ILogger CreateLogger(string categoryName) => new JournalLog(journal, categoryName[(categoryName.LastIndexOf('.') + 1)..]);

        public void Dispose()
        {
            // The journal is the run's.
        }
    }

    private sealed class JournalLog(Journal journal, string name) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            string message = $"{formatter(state, exception)} {exception?.Message}";
            journal.Detail($"Arus.Client: {name}: {message[..Math.Min(message.Length, MaxMessage)].ReplaceLineEndings(" ")}");
        }
    }
}
