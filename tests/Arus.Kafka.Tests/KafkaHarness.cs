using System.IO.Pipelines;
using System.Net;
using Arus.Grains;
using Arus.Testing;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Arus.Kafka.Tests;

/// <summary>A Kafka listener over grains in memory, with connections that are pipes in memory.</summary>
internal sealed class KafkaHarness : IAsyncDisposable
{
    private readonly List<(Task Serving, TestConnection Connection)> _connections = [];
    private readonly ServiceProvider _provider;
    private int _ports = 50_000;

    /// <param name="clock">What the listener sees of <see cref="Time"/>.</param>
    /// <param name="replicas">What the broker keeps, where it replicates.</param>
    /// <param name="followers">What it keeps and does not lead.</param>
    public KafkaHarness(
        Func<KafkaListenerOptions, KafkaListenerOptions>? configure = null, Func<TimeProvider, TimeProvider>? clock = null,
        ILocalReplicas? replicas = null, ILocalFollowers? followers = null, params (string Key, string Value)[] config)
    {
        Cluster = new InMemoryCluster(groupTime: Time, config: config);
        var options = new KafkaListenerOptions(BrokerConfig.Default);
        var services = new ServiceCollection();
        services.AddLogging(logging => logging.AddFakeLogging().SetMinimumLevel(LogLevel.Trace));
        services.AddSingleton(clock is null ? Time : clock(Time));
        services.AddSingleton(Cluster.LocalBroker);
        services.AddSingleton(Cluster.Grains);
        services.AddKafkaListeners();
        if (replicas is not null)
            services.AddSingleton(replicas);

        if (followers is not null)
            services.AddSingleton(followers);

        services.AddSingleton(configure is null ? options : configure(options));
        _provider = services.BuildServiceProvider();
    }

    public InMemoryCluster Cluster { get; }

    public ManualTimeProvider Time { get; } = new();

    /// <summary>The warnings and errors that were logged.</summary>
    public string[] Complaints =>
        [
            .. _provider.GetFakeLogCollector().GetSnapshot()
                .Where(record => record.Level >= LogLevel.Warning)
                .Select(record => record.Message),
        ];

    public KafkaListener Listener { get; } = new(new Listener("PLAINTEXT", "one.example", 9092), null);

    public T Get<T>()
        where T : notnull => _provider.GetRequiredService<T>();

    public TestConnection Connect(IPAddress? from = null, KafkaListener? listener = null)
    {
        var client = new TestConnection();
        var context = new DefaultConnectionContext("test", client.ServerSide, client.ServerSide)
        {
            RemoteEndPoint = new IPEndPoint(from ?? IPAddress.Loopback, _ports++),
        };
        client.OnClosed = context.Abort;
        Task serving = ServeAsync(context, listener ?? Listener, client);
        _connections.Add((serving, client));
        client.Serving = serving.WaitAsync(TestTimeout.Value);
        return client;
    }

    public async ValueTask DisposeAsync()
    {
        foreach ((_, TestConnection connection) in _connections)
            await connection.CloseAsync();

        await _provider.DisposeAsync();
    }

    private async Task ServeAsync(ConnectionContext context, KafkaListener listener, TestConnection client)
    {
        await Get<KafkaConnectionHandler>().RunAsync(context, listener);

        // As Kestrel does when a handler returns.
        await client.ServerSide.Output.CompleteAsync();
        await client.ServerSide.Input.CompleteAsync();
    }
}
