using Arus.Grains;
using Arus.Protocol;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Hosting;

namespace Arus.Hosting.Tests;

public sealed class EmbeddingTests : IDisposable
{
    private readonly Application _application = new();
    private readonly CancellationTokenSource _timeout = new(TimeSpan.FromSeconds(60));

    private CancellationToken Token => _timeout.Token;

    [Fact]
    public async Task An_application_hosts_a_broker_beside_a_grain_of_its_own()
    {
        using IHost host = _application.Build();
        await host.StartAsync(Token);
        var broker = host.Services.GetRequiredService<ArusBroker>();
        Assert.True(broker.IsReady);
        Assert.NotNull(broker.ClusterId);
        var grains = host.Services.GetRequiredService<IGrainFactory>();
        await grains.GetGrain<ITopicGrain>("journal").CreateAsync(new TopicSpec(1, -1, null, [], false));
        using KafkaClient kafka = await KafkaClient.ConnectAsync(Assert.Single(broker.KafkaAddresses), Token);

        // A grain of the application produces, a Kafka client consumes.
        Assert.Equal(0, await grains.GetGrain<IJournalGrain>("journal").WriteAsync("by grain call"));
        var fetched = await kafka.CallAsync<FetchResponse>(Fetch(0), 11, Token);
        byte[] batch = fetched.Responses[0].Partitions[0].Records.ToMemory().ToArray();
        Assert.True(batch.AsSpan().IndexOf("by grain call"u8) > 0);

        // A Kafka client produces the same batch again, the application reads it by grain call.
        var produced = await kafka.CallAsync<ProduceResponse>(Produce(batch), 8, Token);
        ProduceResponse.PartitionProduceResponse appended = produced.Responses[0].PartitionResponses[0];
        Assert.Equal((ErrorCode.None, 1L), (appended.ErrorCode, appended.BaseOffset));
        PartitionReadResult read = await grains.GetGrain<IPartitionGrain>("journal/0").FetchAsync(
            new PartitionRead(1, -1, 1 << 20, true, 0, IsolationLevel.ReadUncommitted));
        Assert.Equal((ErrorCode.None, 2L), (read.Error, read.HighWatermark));

        await host.StopAsync(Token);
        Assert.False(broker.IsReady);
    }

    [Fact]
    public async Task Metadata_goes_to_the_storage_that_the_application_has_under_its_name()
    {
        using (IHost host = _application.Build(before: silo => silo.AddMemoryGrainStorage(StorageNames.Metadata)))
        {
            await host.StartAsync(Token);
            await host.StopAsync(Token);
        }

        Assert.True(File.Exists(Path.Combine(_application.LogDirectory, "meta.properties")));
        Assert.False(Directory.Exists(DataDirectory.MetadataOf(_application.LogDirectory)));
    }

    [Fact]
    public void The_configuration_section_is_read_and_code_has_the_last_word()
    {
        using IHost host = _application.Build(
            options => options["num.partitions"] = "5",
            settings: [("Arus:broker.id", "7"), ("Arus:num.partitions", "3"), ("Other:broker.id", "9")]);
        BrokerConfig config = host.Services.GetRequiredService<LocalBroker>().Config;
        Assert.Equal((7, 5), (config.GetInt(BrokerConfigs.BrokerId), config.GetInt(BrokerConfigs.NumPartitions)));
        Assert.Equal("configuration section Arus", config[BrokerConfigs.BrokerId].Origin);
    }

    [Fact]
    public void Every_wrong_key_is_named()
    {
        string refusal = Assert.Throws<StartRefusedException>(() => _application.Build(
            options => options["broker.idd"] = "1", settings: [("Arus:arus.flush", "never")])).Message;
        Assert.Contains("broker.idd is not a configuration key; did you mean broker.id? (from code)", refusal);
        Assert.Contains("arus.flush=never: not a flush policy", refusal);
        Assert.Contains("(from configuration section Arus)", refusal);
    }

    [Fact]
    public async Task A_host_does_not_start_on_the_directory_of_another_broker()
    {
        using DataDirectory other = DataDirectory.Open(_application.LogDirectory, 1);
        using IHost host = _application.Build();
        Assert.Contains(
            "is in use by another process", (await Assert.ThrowsAsync<StartRefusedException>(() => host.StartAsync(Token))).Message);
    }

    public void Dispose()
    {
        _timeout.Dispose();
        _application.Dispose();
    }

    private static FetchRequest Fetch(long offset) => new()
    {
        MaxWaitMs = 10_000,
        MinBytes = 1,
        Topics = [new() { Topic = "journal", Partitions = [new() { Partition = 0, FetchOffset = offset, PartitionMaxBytes = 1 << 20 }] }],
    };

    private static ProduceRequest Produce(byte[] batch) => new()
    {
        Acks = -1,
        TimeoutMs = 10_000,
        TopicData = [new() { Name = "journal", PartitionData = [new() { Index = 0, Records = batch }] }],
    };
}
