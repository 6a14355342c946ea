using Arus.Protocol;
using Arus.Testing;

namespace Arus.Kafka.Tests;

/// <summary>What responses hold that their clients do not take.</summary>
public sealed class ResponseMemoryTests
{
    private const int BatchBytes = 100_000;

    [Fact]
    public async Task Clients_that_take_nothing_hold_no_more_than_the_budget_and_others_read_on()
    {
        await using var kafka = new KafkaHarness(options => options with { MaxQueuedResponseBytes = 500_000 });
        ResponseMemory memory = kafka.Get<ResponseMemory>();
        InMemoryPartition partition = WithBatches(kafka, 50);
        TestConnection[] deaf = [.. Enumerable.Range(0, 3).Select(_ => kafka.Connect())];
        for (int i = 0; i < deaf.Length; i++)
        {
            await deaf[i].SendAsync(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 0, partitionMaxBytes: 50_000_000), 11);
            await partition.WhenAsync(p => p.Fetches.Count == i + 1);
        }

        // The first has the budget, the others the least that there is to have: one batch.
        await Eventually.AsksAsync(
            () => Task.FromResult(memory.UsedBytes / BatchBytes), batches => batches == 4 + 1 + 1, _ => false, TestTimeout.Value);
        Protocol.FetchResponse response = await kafka.Connect().CallAsync<Protocol.FetchResponse>(
            Messages.Fetch("topic", [(0, 3)], maxWaitMs: 0, partitionMaxBytes: 50_000_000), 11);
        Assert.InRange(response.Responses[0].Partitions[0].Records.Length, BatchBytes, ResponseMemory.MinGrant);

        await deaf[0].ReceiveAsync<Protocol.FetchResponse>(11);
        await deaf[1].ReceiveAsync<Protocol.FetchResponse>(11);
        await deaf[2].CloseAsync();
        await deaf[2].Serving;
        await Eventually.AsksAsync(() => Task.FromResult(memory.UsedBytes), used => used == 0, _ => false, TestTimeout.Value);
    }

    [Fact]
    public async Task A_fetch_that_waits_or_fails_holds_nothing()
    {
        await using var kafka = new KafkaHarness();
        ResponseMemory memory = kafka.Get<ResponseMemory>();
        InMemoryPartition partition = WithBatches(kafka, 1);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 60_000, minBytes: 1_000_000), 11);
        await partition.WhenAsync(p => p.RunningWaits == 1);
        Assert.Equal(0, memory.UsedBytes);
        await connection.CloseAsync();
        await connection.Serving;
        Assert.Equal(0, memory.UsedBytes);

        partition.Failure = new TimeoutException();
        await kafka.Connect().CallAsync<Protocol.FetchResponse>(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 0), 11);
        Assert.Equal(0, memory.UsedBytes);
    }

    [Fact]
    public void What_a_first_batch_takes_beyond_its_grant_counts_too()
    {
        var memory = new ResponseMemory(new KafkaListenerOptions(BrokerConfig.Default) { MaxQueuedResponseBytes = 1_000_000 });
        Assert.Equal(900_000, memory.Take(900_000));
        Assert.Equal(ResponseMemory.MinGrant, memory.Take(900_000));
        Assert.Equal(10, memory.Take(10));
        memory.Release(ResponseMemory.MinGrant - 500_000);
        Assert.Equal(900_000 + 500_000 + 10, memory.UsedBytes);
        memory.Release(500_000 + 10 + 900_000);
        Assert.Equal(0, memory.UsedBytes);
    }

    private static InMemoryPartition WithBatches(KafkaHarness kafka, int batches)
    {
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        for (int i = 0; i < batches; i++)
            partition.Put(Messages.Batch(new string('x', BatchBytes)));

        return partition;
    }
}
