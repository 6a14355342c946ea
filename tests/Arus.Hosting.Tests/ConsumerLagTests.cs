using System.Diagnostics.Metrics;
using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Arus.Hosting.Tests;

/// <summary>The only tests of this process that collect the metrics of groups.</summary>
public sealed class ConsumerLagTests : IDisposable
{
    private readonly Application _application = new();
    private readonly Dictionary<string, long> _lags = [];
    private readonly MeterListener _listener = new();
    private long _omitted;

    public ConsumerLagTests()
    {
        _listener.InstrumentPublished = static (instrument, listener) =>
        {
            if (instrument.Meter.Name == ConsumerLag.MeterName)
                listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, labels, _) =>
        {
            if (instrument.IsObservable)
                _lags[string.Join('/', labels.ToArray().Select(label => label.Value))] = value;
            else
                _omitted += value;
        });
    }

    [Fact]
    public async Task The_lag_of_a_group_is_the_distance_to_the_high_watermark()
    {
        using IHost host = await StartAsync();
        ConsumerLag lag = await ProduceAsync(host, records: 3);
        lag.Committed("g", [(new TopicPartition("journal", 0), (1, Guid.Empty))]);
        await lag.MeasureAsync(TestTimeout.Token);
        Assert.Empty(Collect());

        _listener.Start();
        await lag.MeasureAsync(TestTimeout.Token);
        Assert.Equal([("g/journal/0", 2L)], Collect());
        lag.Committed("g", [(new TopicPartition("journal", 0), (3, Guid.Empty))]);
        await lag.MeasureAsync(TestTimeout.Token);
        Assert.Equal([("g/journal/0", 0L)], Collect());
        lag.Committed("g", [(new TopicPartition("journal", 0), null)]);
        await lag.MeasureAsync(TestTimeout.Token);
        Assert.Empty(Collect());
    }

    [Fact]
    public async Task A_commit_is_measured_until_its_group_is_deleted()
    {
        _listener.Start();
        using IHost host = await StartAsync();
        ConsumerLag lag = await ProduceAsync(host, records: 3);
        using KafkaClient kafka = await KafkaClient.ConnectAsync(
            host.Services.GetRequiredService<ArusBroker>().KafkaAddresses[0], TestTimeout.Token);
        var commit = new OffsetCommitRequest
        {
            GroupId = "g",
            GenerationIdOrMemberEpoch = -1,
            Topics = [new() { Name = "journal", Partitions = [new() { PartitionIndex = 0, CommittedOffset = 1 }] }],
        };
        OffsetCommitResponse committed = await kafka.CallAsync<OffsetCommitResponse>(commit, 8, TestTimeout.Token);
        Assert.Equal(ErrorCode.None, committed.Topics[0].Partitions[0].ErrorCode);
        await lag.MeasureAsync(TestTimeout.Token);
        Assert.Equal([("g/journal/0", 2L)], Collect());

        await kafka.CallAsync<DeleteGroupsResponse>(new DeleteGroupsRequest { GroupsNames = ["g"] }, 1, TestTimeout.Token);
        await lag.MeasureAsync(TestTimeout.Token);
        Assert.Empty(Collect());
    }

    [Fact]
    public async Task Offsets_beyond_the_limit_are_counted_and_left_out_until_there_is_room()
    {
        _listener.Start();
        using IHost host = await StartAsync(options => options["arus.group.lag.max.partitions"] = "2");
        ConsumerLag lag = await ProduceAsync(host, records: 1);
        var partition = new TopicPartition("journal", 0);
        foreach (string group in new[] { "a", "b", "c" })
            lag.Committed(group, [(partition, (0, Guid.Empty))]);

        await lag.MeasureAsync(TestTimeout.Token);
        Assert.Equal([("a/journal/0", 1L), ("b/journal/0", 1L)], Collect());
        Assert.Equal(1, _omitted);

        lag.Forget("a");
        lag.Committed("c", [(partition, (1, Guid.Empty))]);
        await lag.MeasureAsync(TestTimeout.Token);
        Assert.Equal([("b/journal/0", 1L), ("c/journal/0", 0L)], Collect());
        Assert.Equal(1, _omitted);
    }

    [Fact]
    public async Task A_partition_without_a_leader_has_no_lag_and_the_others_have()
    {
        _listener.Start();
        using IHost host = await StartAsync();
        ConsumerLag lag = await ProduceAsync(host, records: 1);
        lag.Committed("g", [(new TopicPartition("gone", 0), (0, Guid.Empty)), (new TopicPartition("journal", 0), (0, Guid.Empty))]);
        await lag.MeasureAsync(TestTimeout.Token);
        Assert.Equal([("g/journal/0", 1L)], Collect());
    }

    public void Dispose()
    {
        _listener.Dispose();
        _application.Dispose();
    }

    private async Task<IHost> StartAsync(Action<ArusOptions>? configure = null)
    {
        IHost host = _application.Build(configure);
        await host.StartAsync(TestTimeout.Token);
        return host;
    }

    private static async Task<ConsumerLag> ProduceAsync(IHost host, int records)
    {
        var grains = host.Services.GetRequiredService<IGrainFactory>();
        await grains.GetGrain<ITopicGrain>("journal").CreateAsync(new TopicSpec(1, -1, null, [], false));
        for (int i = 0; i < records; i++)
            await grains.GetGrain<IJournalGrain>("journal").WriteAsync("entry");

        return host.Services.GetRequiredService<ConsumerLag>();
    }

    private (string Series, long Lag)[] Collect()
    {
        _lags.Clear();
        _listener.RecordObservableInstruments();
        return [.. _lags.Select(lag => (lag.Key, lag.Value)).Order()];
    }
}
