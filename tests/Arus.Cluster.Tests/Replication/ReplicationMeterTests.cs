using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Arus.Grains;
using Microsoft.Extensions.DependencyInjection;

namespace Arus.Cluster.Tests;

/// <summary>What the brokers of a cluster measure of their replication, and say of their disks.</summary>
public sealed class ReplicationMeterTests
{
    [Fact]
    public async Task A_broker_measures_what_is_under_replicated_behind_and_offline_and_who_is_elected()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartReplicatedAsync(3);
        Meters[] all = [.. Enumerable.Range(1, 3).Select(broker => new Meters(cluster.Services(broker)))];
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(cluster, "t", [1, 2, 3], ("min.insync.replicas", "2"));
        PartitionAssignment led = await topic.BecomesAsync(partition => partition is { Leader: > 0, Isr.Length: 3 });
        await topic.AppendAsync("a");
        Meters leader = all[led.Leader - 1];
        await leader.BecomeAsync(("leaders", 1), ("under.replicated", 0), ("under.min.isr", 0), ("offline", 0), ("lag", 0));
        Assert.Equal(led.LeaderEpoch + 1, all.Sum(meters => meters["elections"]));

        // Followers say the same of their disks as the leader.
        await BrokerCluster.EventuallyAsync(
            () => Task.FromResult(Enumerable.Range(1, 3).Select(broker => SizeAt(cluster, broker, "t")).Distinct().ToArray()),
            sizes => sizes is [> 0]);

        (int killed, int other) = led.Leader switch { 1 => (2, 3), 2 => (3, 1), _ => (1, 2) };
        (long shrinks, long expands) = (leader["isr.shrinks"], leader["isr.expands"]);
        await cluster.KillAsync(killed);
        await topic.BecomesAsync(partition => partition.Isr.Length == 2);
        await leader.BecomeAsync(("under.replicated", 1), ("under.min.isr", 0), ("isr.shrinks", shrinks + 1), ("isr.expands", expands));
        await cluster.RestartAsync(killed);
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await leader.BecomeAsync(("under.replicated", 0), ("isr.shrinks", shrinks + 1), ("isr.expands", expands + 1));

        // Followers that are not reached hold the high watermark back as long as they are in sync.
        cluster.Cut(led.Leader, killed);
        cluster.Cut(led.Leader, other);
        Task<PartitionAppendResult> waits = topic.Partition.AppendAsync(Batches.Append("b"));
        await leader.BecomeAsync(("lag", 1));
        cluster.Mend();
        await waits;
        await leader.BecomeAsync(("lag", 0), ("elections.unclean", 0));
        Array.ForEach(all, meters => meters.Dispose());
    }

    [Fact]
    public async Task A_partition_that_nobody_may_lead_is_offline()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartReplicatedAsync(3);
        ReplicatedTopic pair = await ReplicatedTopic.CreateAsync(cluster, "pair", [3, 2]);
        PartitionAssignment led = await pair.BecomesAsync(partition => partition is { Leader: > 0, Isr.Length: 2 });
        int behind = 5 - led.Leader;
        await cluster.KillAsync(behind);
        await pair.BecomesAsync(partition => partition.Isr.Length == 1);
        await pair.AppendAsync("only there");
        await cluster.KillAsync(led.Leader);
        await cluster.RestartAsync(behind);
        using var meters = new Meters(cluster.Services(behind));
        await meters.BecomeAsync(("offline", 1), ("leaders", 0));
        await cluster.RestartAsync(led.Leader);
        await meters.BecomeAsync(("offline", 0));
        await pair.CheckAsync();
    }

    private static long SizeAt(BrokerCluster cluster, int broker, string topic)
    {
        LocalReplica replica = cluster.Services(broker).GetRequiredService<ILocalReplicas>().List()
            .SingleOrDefault(one => one.Partition.Topic == topic);
        return replica.OffsetLag == 0 ? replica.SizeBytes : -1;
    }

    /// <summary>The instruments of one broker's replication, by their names without what is common to them.</summary>
    private sealed class Meters : IDisposable
    {
        private const string Prefix = "arus.replication.";

        private readonly ConcurrentDictionary<string, long> _values = new();
        private readonly MeterListener _listener = new();

        public Meters(IServiceProvider broker)
        {
            Meter meter = broker.GetRequiredService<BrokerMetrics>().Meter;
            _listener.InstrumentPublished = (instrument, listener) =>
            {
                if (ReferenceEquals(instrument.Meter, meter) && instrument.Name.StartsWith(Prefix, StringComparison.Ordinal))
                    listener.EnableMeasurementEvents(instrument);
            };
            _listener.SetMeasurementEventCallback<long>((instrument, value, _, _) => _values.AddOrUpdate(
                instrument.Name[Prefix.Length..], value, (_, before) => instrument.IsObservable ? value : before + value));
            _listener.Start();
        }

        public long this[string name] => _values.GetValueOrDefault(name);

        public Task BecomeAsync(params (string Name, long Value)[] wanted) => BrokerCluster.EventuallyAsync(
            () =>
            {
                _listener.RecordObservableInstruments();
                return Task.FromResult(wanted.Select(one => (one.Name, Value: this[one.Name])).ToArray());
            },
            values => values.SequenceEqual(wanted));

        public void Dispose() => _listener.Dispose();
    }
}
