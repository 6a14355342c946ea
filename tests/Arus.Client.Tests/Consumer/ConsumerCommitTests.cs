using Arus.Grains;
using Arus.Testing;

namespace Arus.Client.Tests;

public sealed class ConsumerCommitTests : ConsumerTestBase
{
    [Fact]
    public async Task A_member_begins_at_committed_offsets_and_commits_what_was_processed()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Put("a", "b", "c");
        cluster.Partition("t", 1).Put("d");
        await cluster.Group.CommitAsync(new("t", 0), 1);
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(
            Grouped with { EnableAutoCommit = false });
        consumer.Subscribe("t");
        Assert.Equal(["t"], cluster.Membership!.Topics);
        await cluster.Membership.AssignAsync(new("t", 0), new("t", 1));
        var values = new List<string?>();
        while (values.Count < 3)
            values.AddRange((await consumer.PollAsync(Forever, Bound)).Select(r => r.Value));

        Assert.Equal(["b", "c", "d"], values.Order());
        await consumer.CommitAsync();
        Assert.Equal((3, 1), (cluster.CommittedOffset("t", 0), cluster.CommittedOffset("t", 1)));
        await consumer.CommitAsync([new TopicPartitionOffset("t", 0, 2)]);
        Assert.Equal(2, (await consumer.CommittedAsync([new("t", 0)]))[0].Offset);

        // The group goes on without the consumer's knowledge.
        await cluster.Group.JoinAndSyncAsync(Grouped.ClientId, cluster.Membership.Identity.MemberId);
        CommitFailedException e = await Assert.ThrowsAsync<CommitFailedException>(
            () => consumer.CommitAsync([new TopicPartitionOffset("t", 0, 3)]));
        Assert.Equal(ErrorCode.IllegalGeneration, e.Code);
        Assert.Equal([ErrorCode.IllegalGeneration], cluster.Membership.ReportedErrors);
    }

    [Fact]
    public async Task Gives_a_partition_up_only_when_its_records_are_processed_and_commits_them()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Put("a", "b");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        Assert.Equal(2, (await consumer.PollAsync(Forever, Bound)).Count);
        Task revoked = cluster.Membership.RevokeAsync(new TopicPartition("t", 0));
        Assert.False(revoked.IsCompleted);
        Assert.Equal(-1, cluster.CommittedOffset("t", 0));

        Assert.Empty(await consumer.PollAsync(TimeSpan.Zero));
        await revoked;
        Assert.Equal(2, cluster.CommittedOffset("t", 0));
        Assert.Empty(consumer.Assignment);
    }

    [Fact]
    public async Task Gives_a_partition_up_although_its_last_commit_fails_unexpectedly()
    {
        var cluster = new FakeCluster { CommitFault = new IOException("No space left on device") };
        cluster.Partition("t", 0).Put("a");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        Assert.Single(await consumer.PollAsync(Forever, Bound));
        Assert.Empty(await consumer.PollAsync(TimeSpan.Zero));
        await cluster.Membership.RevokeAsync(new TopicPartition("t", 0));
        Assert.Null(cluster.CommitFault);
        Assert.Empty(consumer.Assignment);
    }

    [Fact]
    public async Task Auto_commit_goes_by_what_was_processed_not_by_what_was_delivered()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.Partition("t", 0).Put("a", "b", "c");
        IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        await using IAsyncEnumerator<ConsumeResult<string, string>> records = consumer.ConsumeAsync(Bound).GetAsyncEnumerator();
        Assert.True(await records.MoveNextAsync());
        Assert.True(await records.MoveNextAsync());
        Assert.Equal("b", records.Current.Value);
        Assert.Equal(2, consumer.Position(new("t", 0)));

        // The first record is processed, since the second was asked for; the second is not.
        await consumer.DisposeAsync();
        Assert.Equal(1, cluster.CommittedOffset("t", 0));
        Assert.True(cluster.Membership.HasLeft);
    }

    [Fact]
    public async Task Auto_commit_goes_on_after_a_coordinator_fails_unexpectedly()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time) { CommitFault = new IOException("No space left on device") };
        cluster.Partition("t", 0).Put("a");
        IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        Assert.Single(await consumer.PollAsync(Forever, Bound));
        Assert.Empty(await consumer.PollAsync(TimeSpan.Zero));
        while (cluster.CommitFault is not null)
        {
            await time.WaitForArmedTimersAsync(1).WaitAsync(Bound);
            time.AdvanceToNextTimer();
        }

        await consumer.DisposeAsync();
        Assert.True(cluster.Membership.HasLeft);
        Assert.Equal(1, cluster.CommittedOffset("t", 0));
    }

    [Fact]
    public async Task Auto_commit_does_not_take_back_what_was_committed_by_hand()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Put("a", "b");
        IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        Assert.Equal(2, (await consumer.PollAsync(Forever, Bound)).Count);
        await consumer.CommitAsync();
        await consumer.DisposeAsync();
        Assert.Equal(2, cluster.CommittedOffset("t", 0));
    }

    [Fact]
    public async Task A_commit_without_an_answer_fails_when_the_consumers_default_api_timeout_is_over()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.Group.Delivery = new TaskCompletionSource().Task;
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(
            Grouped with { EnableAutoCommit = false, DefaultApiTimeout = TimeSpan.FromSeconds(5) });
        Task commit = consumer.CommitAsync([new TopicPartitionOffset("t", 0, 1)]);
        await time.WaitForArmedTimersAsync(1);
        time.Advance(TimeSpan.FromSeconds(5));

        // The pause before the last attempt.
        await time.WaitForArmedTimersAsync(1);
        Assert.False(commit.IsCompleted);
        time.AdvanceToNextTimer();
        ArusException e = await Assert.ThrowsAsync<ArusException>(() => commit.WaitAsync(Bound));
        Assert.Equal(ErrorCode.RequestTimedOut, e.Code);
        Assert.Contains("00:00:05", e.Message, StringComparison.Ordinal);
    }
}
