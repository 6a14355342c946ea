using System.Net;
using System.Net.Sockets;
using Arus.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;

namespace Arus.Client.Tests;

public sealed class ClusterGatewaysTests : IDisposable
{
    private readonly TcpListener _live = new(IPAddress.Loopback, 0);
    private readonly InMemoryCluster _cluster = new();
    private readonly StaticGatewayListProviderOptions _list = new() { Gateways = [Uri("127.0.0.1:1")] };
    private readonly ClusterGateways _gateways;

    public ClusterGatewaysTests()
    {
        _live.Start();
        _gateways = new ClusterGateways(_cluster.Grains, _list, TimeProvider.System);
    }

    [Fact]
    public async Task The_gateways_that_the_cluster_tells_take_the_place_of_those_that_were_named()
    {
        _cluster.Gateways = [$"{_live.LocalEndpoint}"];
        await _gateways.RefreshAsync(TestTimeout.Token);
        Assert.Equal([Uri($"{_live.LocalEndpoint}")], _list.Gateways);
    }

    [Fact]
    public async Task What_cannot_be_reached_from_here_is_left_out_and_the_named_ones_stay_when_that_is_all()
    {
        using var gone = new TcpListener(IPAddress.Loopback, 0);
        gone.Start();
        string closed = $"{gone.LocalEndpoint}";
        gone.Stop();
        _cluster.Gateways = [closed];
        await _gateways.RefreshAsync(TestTimeout.Token);
        Assert.Equal([Uri("127.0.0.1:1")], _list.Gateways);
        _cluster.Gateways = [closed, $"{_live.LocalEndpoint}"];
        await _gateways.RefreshAsync(TestTimeout.Token);
        Assert.Equal([Uri($"{_live.LocalEndpoint}")], _list.Gateways);
    }

    [Fact]
    public async Task A_cluster_that_tells_none_or_fails_changes_nothing()
    {
        await _gateways.RefreshAsync(TestTimeout.Token);
        _cluster.Gateways = null!;
        await _gateways.RefreshAsync(TestTimeout.Token);
        Assert.Equal([Uri("127.0.0.1:1")], _list.Gateways);
    }

    [Theory]
    [InlineData("127.0.0.1:4000", "127.0.0.1:4000")]
    [InlineData("127.0.0.1", "127.0.0.1:30000")]
    [InlineData("[::1]:4000", "[::1]:4000")]
    [InlineData("localhost:4000", "127.0.0.1:4000")]
    public void A_gateway_is_named_by_host_and_port(string text, string expected)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.UseOrleansClient(client => client.UseArusCluster([text], "mine", "ours"));
        using IHost host = builder.Build();
        Assert.Equal([Uri(expected)], host.Services.GetRequiredService<IOptions<StaticGatewayListProviderOptions>>().Value.Gateways);
        ClusterOptions ids = host.Services.GetRequiredService<IOptions<ClusterOptions>>().Value;
        Assert.Equal(("mine", "ours"), (ids.ClusterId, ids.ServiceId));
    }

    [Theory]
    [InlineData("a:b:c")]
    [InlineData("")]
    [InlineData("no-such-host.invalid:1")]
    public void A_gateway_that_cannot_be_is_refused_by_name(string text)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        string message = Assert.Throws<ArgumentException>(
            () => builder.UseOrleansClient(client => client.UseArusCluster([text]))).Message;
        Assert.Contains($"gateway '{text}'", message);
    }

    public void Dispose()
    {
        _gateways.Dispose();
        _live.Dispose();
    }

    private static Uri Uri(string endpoint) => IPEndPoint.Parse(endpoint).ToGatewayUri();
}
