using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Sockets;
using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.Metrics.Testing;
using Microsoft.Extensions.Hosting;
using Orleans.Runtime;

namespace Arus.Kafka.Tests;

public sealed class HostingTests
{
    [Fact]
    public void A_listener_has_the_buffers_and_the_backlog_of_the_configuration()
    {
        using IHost app = Build(
            new InMemoryCluster(), ("socket.receive.buffer.bytes", "50000"), ("socket.send.buffer.bytes", "60000"),
            ("socket.listen.backlog.size", "7"));
        KafkaServer server = app.Services.GetServices<IHostedService>().OfType<KafkaServer>().Single();
        var options = new SocketTransportOptions();
        server.Configure(options);
        using Socket socket = options.CreateBoundListenSocket(new IPEndPoint(IPAddress.Loopback, 0));

        // Linux doubles what is asked for, for its own bookkeeping.
        Assert.Contains(socket.ReceiveBufferSize, new[] { 50_000, 100_000 });
        Assert.Contains(socket.SendBufferSize, new[] { 60_000, 120_000 });
        Assert.Equal(7, options.Backlog);
    }

    [Fact]
    public async Task Kestrel_serves_every_listener_and_the_cluster_learns_the_bound_ports()
    {
        var cluster = new InMemoryCluster { Description = new ClusterDescription("c", 1, []) };
        using IHost app = Build(
            cluster, ("broker.id", "7"), ("listeners", "PLAINTEXT://127.0.0.1:0,INNER://127.0.0.1:0"),
            ("advertised.listeners", "INNER://inner.example:4711"));
        await app.StartAsync();

        KafkaServer server = app.Services.GetServices<IHostedService>().OfType<KafkaServer>().Single();
        Assert.IsType<TransportMemoryPoolFactory>(server.Services!.GetRequiredService<IMemoryPoolFactory<byte>>());
        BrokerEndpoint[] endpoints = cluster.Description.Brokers.Single().Endpoints;
        Assert.Equal(("127.0.0.1", "inner.example", 4711), (endpoints[0].Host, endpoints[1].Host, endpoints[1].Port));
        Assert.NotEqual(0, endpoints[0].Port);
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, endpoints[0].Port);
        NetworkStream stream = client.GetStream();
        await stream.WriteAsync(TestConnection.Encode(Messages.Metadata("new-topic"), 9, 1));
        var size = new byte[4];
        await stream.ReadExactlyAsync(size);
        var frame = new byte[System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(size)];
        await stream.ReadExactlyAsync(frame);
        MetadataResponse metadata = Frames.ReadResponse<MetadataResponse>(frame, 9, out _);
        Assert.Equal((7, "127.0.0.1", endpoints[0].Port), (metadata.Brokers[0].NodeId, metadata.Brokers[0].Host, metadata.Brokers[0].Port));

        // A clean stop while a client is connected.
        await app.StopAsync();
        Assert.Equal(0, await stream.ReadAsync(size));
    }

    [Fact]
    public async Task A_broker_registers_again_when_what_it_asked_was_on_a_silo_that_died()
    {
        var cluster = new InMemoryCluster { Description = new ClusterDescription("c", 1, []) };
        cluster.RegistrationFailures.Enqueue(new SiloUnavailableException("gone"));
        cluster.RegistrationFailures.Enqueue(new TimeoutException("late"));
        using IHost app = Build(cluster, ("broker.id", "7"), ("listeners", "PLAINTEXT://127.0.0.1:0"));
        await app.StartAsync(TestTimeout.Token);
        Assert.Equal(7, cluster.Description.Brokers.Single().BrokerId);
        await app.StopAsync();

        // What only a person can mend is told at once.
        cluster.RegistrationFailures.Enqueue(new CorruptGrainStateException("cluster/0", "of the test"));
        using IHost other = Build(cluster, ("broker.id", "8"), ("listeners", "PLAINTEXT://127.0.0.1:0"));
        await Assert.ThrowsAsync<CorruptGrainStateException>(() => other.StartAsync(TestTimeout.Token));
    }

    [Fact]
    public async Task Kestrel_tells_of_a_client_that_goes_while_nobody_reads()
    {
        var cluster = new InMemoryCluster { Description = new ClusterDescription("c", 1, []) };
        InMemoryGroup group = cluster.Group("g");
        await group.JoinAndSyncAsync("other");
        using IHost app = Build(cluster, ("broker.id", "7"), ("listeners", "PLAINTEXT://127.0.0.1:0"));
        using var connections = new MetricCollector<long>(
            app.Services.GetRequiredService<IMeterFactory>(), KafkaMetrics.MeterName, "arus.kafka.connections");
        await app.StartAsync();
        using (var client = new TcpClient())
        {
            await client.ConnectAsync(IPAddress.Loopback, cluster.Description.Brokers.Single().Endpoints[0].Port);
            var join = new JoinGroupRequest
            {
                GroupId = "g", ProtocolType = "consumer", SessionTimeoutMs = 10_000, Protocols = [new() { Name = "range" }],
            };
            await client.GetStream().WriteAsync(TestConnection.Encode(join, 3, 1));
            await group.WhenAsync(g => g.WaitingCalls == 1);
        }

        await connections.WaitForMeasurementsAsync(2, TestTimeout.Token);
        Assert.Equal([1L, -1L], connections.GetMeasurementSnapshot().Select(change => change.Value));
        Assert.Equal(1, group.WaitingCalls);
        await app.StopAsync();
    }

    [Fact]
    public async Task A_client_that_takes_no_response_does_not_keep_the_listener_from_stopping()
    {
        var cluster = new InMemoryCluster { Description = new ClusterDescription("c", 1, []) };
        using IHost app = Build(
            cluster, ("broker.id", "7"), ("listeners", "PLAINTEXT://127.0.0.1:0"), ("arus.shutdown.timeout.ms", "3000"));
        await app.StartAsync();
        cluster.AddTopic("topic", 1);
        InMemoryPartition partition = cluster.Partition("topic", 0);
        partition.Put(new string('x', 20_000_000));
        using var deaf = new TcpClient();
        await deaf.ConnectAsync(IPAddress.Loopback, cluster.Description.Brokers.Single().Endpoints[0].Port);
        byte[] fetch = TestConnection.Encode(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 0, partitionMaxBytes: 50_000_000), 11, 1);
        await deaf.GetStream().WriteAsync(fetch);
        await partition.WhenAsync(p => p.Fetches.Count == 1);
        KafkaServer server = app.Services.GetServices<IHostedService>().OfType<KafkaServer>().Single();

        // Nobody cancels this token, so that only the server's own limit ends the stop.
        await server.StopAsync(CancellationToken.None).WaitAsync(TestTimeout.Value);
        await app.StopAsync();
    }

    [Theory]
    [InlineData("PLAINTEXT://127.0.0.1:9092", null, null, "PLAINTEXT 127.0.0.1:9092")]
    [InlineData("PLAINTEXT://0.0.0.0:9092", "PLAINTEXT://kafka.example:19092", null, "PLAINTEXT kafka.example:19092")]
    [InlineData("A://127.0.0.1:1,B://127.0.0.2:2", "B://b.example:3", null, "A 127.0.0.1:1, B b.example:3")]
    [InlineData("A://127.0.0.1:1,B://127.0.0.2:2", null, "balancer.example:9092", "A balancer.example:9092, B balancer.example:9092")]
    public void Clients_are_told_what_is_configured(string listeners, string? advertised, string? single, string expected)
    {
        var values = new List<(string, string)> { ("listeners", listeners) };
        if (advertised is not null)
            values.Add(("advertised.listeners", advertised));

        if (single is not null)
            values.Add(("arus.advertised.single.address", single));

        KafkaListener[] found = KafkaListener.FromConfig(BrokerConfig.Of([.. values]));
        Assert.Equal(expected, string.Join(", ", found.Select(l => $"{l.Name} {l.Advertised.Host}:{l.Advertised.Port}")));
    }

    [Theory]
    [InlineData("PLAINTEXT://127.0.0.1:9092", "OTHER://a:1", "listeners has no OTHER")]
    [InlineData("PLAINTEXT://127.0.0.1:9092", "PLAINTEXT://0.0.0.0:9092", "cannot connect")]
    [InlineData("SSL://127.0.0.1:9092", "SSL://a:1", "not supported")]
    public void A_listener_that_cannot_be_is_refused_by_name(string listeners, string advertised, string reason)
    {
        BrokerConfig config = BrokerConfig.Of(("listeners", listeners), ("advertised.listeners", advertised));
        Assert.Contains(reason, Assert.Throws<ArgumentException>(() => KafkaListener.FromConfig(config)).Message, StringComparison.Ordinal);
    }

    private static IHost Build(InMemoryCluster cluster, params (string Key, string Value)[] config)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddSingleton(new LocalBroker(BrokerConfig.Of(config)));
        builder.Services.AddSingleton(cluster.Grains);
        builder.Services.AddKafkaListeners();
        return builder.Build();
    }
}
