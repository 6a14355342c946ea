using System.Buffers.Binary;
using System.Net.Sockets;
using System.Security.Cryptography;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.TestingHost;

namespace Arus.Standin.Tests.Cluster;

public sealed class ConnectionTests : IAsyncLifetime
{
    private readonly InProcessTestCluster _cluster = new InProcessTestClusterBuilder(1).Build();

    public Task InitializeAsync() => _cluster.DeployAsync();

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(int.MaxValue)]
    [InlineData(64 * 1024 * 1024)]
    public async Task A_length_out_of_bounds_ends_the_connection_before_anything_is_allocated(int length)
    {
        byte[] prefix = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(prefix, length);
        await AssertRefusedAsync(prefix);
    }

    [Fact]
    public async Task Garbage_ends_its_own_connection_only()
    {
        byte[] body = RandomNumberGenerator.GetBytes(64);
        byte[] frame = new byte[4 + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, body.Length);
        body.CopyTo(frame, 4);
        await AssertRefusedAsync(frame);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public async Task Nothing_is_accepted_before_an_introduction(byte kind) => await AssertRefusedAsync([3, 0, 0, 0, kind, 0, 0]);

    [Fact]
    public async Task A_client_of_another_cluster_is_told_which_setting_to_look_at()
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.UseOrleansClient(client => client.UseLocalhostClustering(_cluster.Silos[0].GatewayAddress.Endpoint.Port, "service", "other"));
        using IHost host = builder.Build();
        var exception = await Assert.ThrowsAsync<OrleansConfigurationException>(() => host.StartAsync());
        Assert.Contains("ClusterOptions.ClusterId", exception.Message);
        Assert.Contains("\"other\"", exception.Message);
    }

    [Fact]
    public async Task A_client_without_a_gateway_says_where_it_looked()
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.UseOrleansClient(client => client.UseLocalhostClustering(1));
        using IHost host = builder.Build();
        Exception exception = await Assert.ThrowsAnyAsync<OrleansException>(() => host.StartAsync());
        Assert.Contains("127.0.0.1:1", exception.Message);
    }

    [Fact]
    public async Task Silos_do_not_take_clients_for_silos()
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.UseOrleansClient(client => client.UseLocalhostClustering(
            _cluster.Silos[0].SiloAddress.Endpoint.Port, _cluster.Options.ServiceId, _cluster.Options.ClusterId));
        using IHost host = builder.Build();
        Exception exception = await Assert.ThrowsAnyAsync<OrleansException>(() => host.StartAsync());
        Assert.Contains("gateway port", exception.Message);
    }

    [Fact]
    public async Task A_result_that_is_too_large_is_refused_by_its_sender_and_harms_nothing()
    {
        await using InProcessTestCluster small = new InProcessTestClusterBuilder(1)
            .ConfigureSilo((_, silo) => silo.Configure<Orleans.Configuration.SiloMessagingOptions>(options =>
                (options.MaxMessageBodySize, options.MaxMessageHeaderSize) = (100_000, 1_000)))
            .ConfigureClient(client => client.Configure<Orleans.Configuration.ClientMessagingOptions>(options =>
                (options.MaxMessageBodySize, options.MaxMessageHeaderSize) = (100_000, 1_000)))
            .Build();
        await small.DeployAsync();
        var grain = small.Client.GetGrain<IEchoGrain>("a");
        Exception exception = await Assert.ThrowsAnyAsync<Exception>(() => grain.BytesAsync(new byte[200_000]));
        Assert.Contains("MaxMessageBodySize", exception.Message);
        Assert.Equal(90_000, (await grain.BytesAsync(new byte[90_000])).Length);
    }

    [Fact]
    public async Task Payloads_of_any_size_arrive_as_they_were_sent_however_many_travel_at_once()
    {
        int[] sizes = [0, 1, 511, 512, 513, 4_000, 8_150, 8_180, 8_191, 8_192, 8_193, 16_384, 65_535, 65_536, 131_072, 131_073, 1_000_000];
        var random = new Random(4711);
        await Task.WhenAll(Enumerable.Range(0, 8).SelectMany(_ => sizes).Select(async size =>
        {
            byte[] sent = new byte[size];
            lock (random)
            {
                random.NextBytes(sent);
            }

            byte[] received = await _cluster.Client.GetGrain<IEchoGrain>($"size-{size}").BytesAsync(sent);
            Assert.True(sent.AsSpan().SequenceEqual(received), $"{size} bytes");
        }));
    }

    private async Task AssertRefusedAsync(byte[] bytes)
    {
        foreach (SiloAddress address in new[] { _cluster.Silos[0].SiloAddress, _cluster.Silos[0].GatewayAddress })
        {
            using var client = new TcpClient();
            await client.ConnectAsync(address.Endpoint);
            NetworkStream stream = client.GetStream();
            await stream.WriteAsync(bytes);
            using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            int read;
            try
            {
                read = await stream.ReadAsync(new byte[16], timeout.Token);
            }
            catch (IOException)
            {
                read = 0;
            }

            Assert.Equal(0, read);
        }

        Assert.Equal("still here", await _cluster.Client.GetGrain<IEchoGrain>("a").EchoAsync("still here"));
    }
}
