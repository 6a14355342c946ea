using Arus.Grains;

namespace Arus.Client.Tests;

public sealed class ConsumerEnumerationTests : ConsumerTestBase
{
    [Fact]
    public async Task Enumerating_drops_records_of_a_partition_that_is_taken_away_meanwhile()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Put("a", "b", "c");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Bound);
        await using var records = consumer.ConsumeAsync(stop.Token).GetAsyncEnumerator(Bound);
        Assert.True(await records.MoveNextAsync());
        Task revoked = cluster.Membership.RevokeAsync(new TopicPartition("t", 0));
        Task<bool> next = records.MoveNextAsync().AsTask();
        await revoked;
        Assert.Equal(1, cluster.CommittedOffset("t", 0));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => next);
    }

    [Fact]
    public async Task A_cancelled_enumeration_lets_go_of_a_partition_that_is_to_be_given_up()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Put("a", "b", "c");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Bound);
        await using var records = consumer.ConsumeAsync(stop.Token).GetAsyncEnumerator(Bound);
        Assert.True(await records.MoveNextAsync());
        Task revoked = cluster.Membership.RevokeAsync(new TopicPartition("t", 0));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => records.MoveNextAsync().AsTask());
        await revoked;
        Assert.Equal(1, cluster.CommittedOffset("t", 0));
    }

    [Fact]
    public async Task An_enumeration_that_is_left_loses_and_repeats_nothing()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Put("a", "b", "c");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain with { MaxPollRecords = 3 });
        consumer.Assign(new TopicPartitionOffset("t", 0, 0));
        Assert.Equal("a", await FirstAsync());
        Assert.Equal(1, consumer.Position(new("t", 0)));
        Assert.Equal("b", await FirstAsync());
        Assert.Equal(["c"], (await consumer.PollAsync(Forever, Bound)).Select(r => r.Value));

        async Task<string?> FirstAsync()
        {
            await foreach (ConsumeResult<string, string> record in consumer.ConsumeAsync(Bound))
                return record.Value;

            return null;
        }
    }
}
