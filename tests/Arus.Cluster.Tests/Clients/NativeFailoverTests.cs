using Arus.Client;
using Arus.Grains;
using Arus.Testing;
using Orleans.Runtime;

namespace Arus.Cluster.Tests.Clients;

/// <summary>Calls of the native client that were under way to a silo when it was killed.</summary>
public sealed class NativeFailoverTests
{
    private const int Partitions = 6;

    /// <summary>
    /// Longer than the test waits: what is not given up before has not been noticed. Not much longer, since a producer that is disposed of
    /// waits for its deliveries, and a test that fails has to end.
    /// </summary>
    private static readonly TimeSpan Unnoticed = TestTimeout.Value + TimeSpan.FromSeconds(15);

    [Fact]
    public async Task A_producer_and_a_consumer_go_on_when_the_silo_dies_that_had_their_calls()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartReplicatedAsync(3, responseTimeout: Unnoticed);
        await cluster.Topic("t").CreateAsync(new TopicSpec(-1, -1, [.. Enumerable.Repeat(new[] { 2, 3 }, Partitions)], [], false));
        await BrokerCluster.EventuallyAsync(
            async () => (await cluster.Topic("t").DescribeAsync())!,
            topic => topic.Partitions.All(partition => partition is { Leader: 2, Isr.Length: 2 }));
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            new ProducerOptions { RequestTimeout = Unnoticed, DeliveryTimeout = Unnoticed + TimeSpan.FromSeconds(1) });
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(
            new ConsumerOptions { FetchMaxWait = Unnoticed });
        consumer.Assign([.. Enumerable.Range(0, Partitions).Select(p => new TopicPartitionOffset("t", p, 0))]);
        await ProduceAsync(producer, "before");
        Assert.Equal(Partitions, await CountAsync(consumer, "before"));

        // The client spreads the partitions over the gateways of all silos, and these pass the calls on to the leader.
        cluster.MuteBroker = 2;
        Task appended = ProduceAsync(producer, "after");
        await BrokerCluster.EventuallyAsync(
            () => Task.FromResult(cluster.UnansweredCalls.Keys.Count(call => call.EndsWith("AppendAsync", StringComparison.Ordinal))),
            count => count == Partitions);

        await cluster.KillAsync(2);
        await appended.WaitAsync(TestTimeout.Value);
        Assert.Equal(Partitions, await CountAsync(consumer, "after"));
    }

    [Fact]
    public async Task A_silo_that_stops_lets_go_of_those_who_wait_for_a_change_of_its_membership()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartReplicatedAsync(2);
        IMembershipGrain silo = cluster.SiloGrains(2)!.GetGrain<IMembershipGrain>(0);
        SiloMembership known = await silo.WaitForChangeAsync(-1);
        Assert.Equal(2, known.Live.Length);
        Task<SiloMembership> waiting = silo.WaitForChangeAsync(known.Version);
        await cluster.StopAsync(2);
        await Assert.ThrowsAsync<SiloUnavailableException>(() => waiting.WaitAsync(TestTimeout.Value));
    }

    private static async Task ProduceAsync(IProducer<string, string> producer, string value)
    {
        PendingDelivery[] pending = await Task.WhenAll(Enumerable.Range(0, Partitions).Select(
            p => producer.EnqueueAsync(new("t", null, value) { Partition = p }).AsTask()));
        foreach (PendingDelivery delivery in pending)
            await delivery.GetResultAsync();
    }

    /// <summary>Reads a record of each partition; all must have the value.</summary>
    private static async Task<int> CountAsync(IConsumer<string, string> consumer, string value)
    {
        int count = 0;
        await foreach (ConsumeResult<string, string> record in consumer.ConsumeAsync(TestTimeout.Token))
        {
            Assert.Equal(value, record.Value);
            if (++count == Partitions)
                break;
        }

        return count;
    }
}
