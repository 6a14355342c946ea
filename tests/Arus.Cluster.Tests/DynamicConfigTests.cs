using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;
using Microsoft.Extensions.DependencyInjection;

namespace Arus.Cluster.Tests;

/// <summary>Configuration that is changed while brokers run.</summary>
public sealed class DynamicConfigTests : IAsyncLifetime
{
    private BrokerCluster _cluster = null!;

    public async Task InitializeAsync() => _cluster = await BrokerCluster.StartAsync(2);

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Fact]
    public async Task A_change_for_all_brokers_reaches_every_broker_and_the_open_logs()
    {
        await _cluster.CreateTopicOnAsync("topic", 1, 2);
        foreach (int partition in new[] { 0, 1 })
            Assert.Equal(ErrorCode.None, await AppendAsync(partition));

        await AlterAsync(1, "", "message.max.bytes", "10");
        foreach (int partition in new[] { 0, 1 })
        {
            await BrokerCluster.EventuallyAsync(() => AppendAsync(partition), error => error == ErrorCode.MessageTooLarge);
            Assert.Equal("10", Config(partition + 1).GetString("message.max.bytes"));
        }

        await AlterAsync(2, "2", "message.max.bytes", "1000000");
        await BrokerCluster.EventuallyAsync(() => AppendAsync(1), error => error == ErrorCode.None);
        Assert.Equal(ErrorCode.MessageTooLarge, await AppendAsync(0));
    }

    [Fact]
    public async Task A_change_survives_the_restart_of_every_broker_and_counts_from_the_start()
    {
        await AlterAsync(1, "1", "log.retention.ms", "7200000");
        await AlterAsync(1, "", "log.segment.bytes", "2000000");
        foreach (int broker in new[] { 1, 2 })
        {
            await _cluster.StopAsync(broker);
            await _cluster.RestartAsync(broker);
            Assert.Equal("2000000", Config(broker).GetString("log.segment.bytes"));
        }

        Assert.Equal(7_200_000, Config(1).GetLong("log.retention.ms"));
        Assert.False(Config(2).IsSet("log.retention.ms"));
    }

    [Fact]
    public async Task A_broker_is_asked_wherever_the_call_comes_from()
    {
        foreach (int broker in new[] { 1, 2 })
        {
            var request = new DescribeConfigsRequest
            {
                Resources = [new() { ResourceType = 4, ResourceName = $"{broker}", ConfigurationKeys = ["broker.id"] }],
            };
            DescribeConfigsResponse response = await _cluster.Grains.GetGrain<IBrokerGrain>(broker).DescribeConfigsAsync(request);
            Assert.Equal($"{broker}", Assert.Single(response.Results[0].Configs).Value);
        }
    }

    [Fact]
    public async Task A_broker_that_is_not_alive_is_told_of_and_answers_again_when_it_is_back()
    {
        await _cluster.StopAsync(2);
        Assert.Equal(ErrorCode.InvalidRequest, await AskAsync());
        await _cluster.RestartAsync(2);
        await BrokerCluster.EventuallyAsync(AskAsync, error => error == ErrorCode.None);

        async Task<ErrorCode> AskAsync() =>
            (await _cluster.Grains.GetGrain<IBrokerGrain>(2).DescribeConfigsAsync(
                new DescribeConfigsRequest { Resources = [new() { ResourceType = 8, ResourceName = "2", ConfigurationKeys = ["root"] }] }))
            .Results[0].ErrorCode;
    }

    private BrokerConfig Config(int broker) => _cluster.Services(broker).GetRequiredService<LocalBroker>().Config;

    private async Task<ErrorCode> AppendAsync(int partition) =>
        (await _cluster.Partition("topic", partition).AppendAsync(Batches.Append("a value"))).Results[0].Error;

    private async Task AlterAsync(int broker, string name, string key, string value)
    {
        var request = new IncrementalAlterConfigsRequest
        {
            Resources = [new() { ResourceType = 4, ResourceName = name, Configs = [new() { Name = key, Value = value }] }],
        };
        IncrementalAlterConfigsResponse response =
            await _cluster.Grains.GetGrain<IBrokerGrain>(broker).IncrementalAlterConfigsAsync(request);
        Assert.Equal(ErrorCode.None, response.Responses[0].ErrorCode);
    }
}
