using System.Text.RegularExpressions;
using Arus.Testing;

namespace Arus.Client.Tests;

public sealed class ConsumerSubscriptionTests : ConsumerTestBase
{
    [Fact]
    public async Task A_poll_that_waits_hears_that_the_membership_is_over()
    {
        var cluster = new FakeCluster();
        IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        Task<IReadOnlyList<ConsumeResult<string, string>>> waiting = consumer.PollAsync(Forever, Bound).AsTask();
        cluster.Membership!.End(new ArusException(ErrorCode.FencedInstanceId, "another one has it"));
        Assert.Equal(ErrorCode.FencedInstanceId, (await Assert.ThrowsAsync<ArusException>(() => waiting)).Code);
    }

    [Fact]
    public async Task Asks_for_a_rebalance_when_a_topic_gets_partitions()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("t", 1);
        IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped with { EnableAutoCommit = false });
        consumer.Subscribe("t");
        await time.WaitForArmedTimersAsync(1);
        cluster.AddTopic("t", 2);
        Assert.False(cluster.Membership!.Rejoin.Task.IsCompleted);
        time.Advance(TimeSpan.FromMinutes(5));
        await cluster.Membership.Rejoin.Task;
        await consumer.DisposeAsync();
    }

    [Fact]
    public async Task A_pattern_joins_topics_that_come_later()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("other", 1);
        cluster.AddTopic("orders.internal", 1, isInternal: true);
        IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped with { EnableAutoCommit = false });
        consumer.Subscribe(new Regex("^orders"));
        await time.WaitForArmedTimersAsync(1);
        Assert.Empty(cluster.Membership!.Topics);

        cluster.AddTopic("orders.eu", 1);
        time.Advance(TimeSpan.FromMinutes(5));
        Assert.Equal(["orders.eu"], await cluster.Membership.Subscriptions.Reader.ReadAsync());

        await time.WaitForArmedTimersAsync(1);
        cluster.AddTopic("orders.asia", 2);
        time.Advance(TimeSpan.FromMinutes(5));
        Assert.Equal(["orders.asia", "orders.eu"], await cluster.Membership.Subscriptions.Reader.ReadAsync());

        // Another subscription takes the pattern's place.
        await time.WaitForArmedTimersAsync(1);
        consumer.Subscribe("other");
        Assert.Equal(["other"], await cluster.Membership.Subscriptions.Reader.ReadAsync());
        cluster.AddTopic("orders.africa", 1);
        time.Advance(TimeSpan.FromMinutes(5));
        consumer.Subscribe(new Regex("er$"));
        await time.WaitForArmedTimersAsync(1);
        Assert.Equal(["other"], cluster.Membership.Topics);
        await consumer.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => Task.Run(() => consumer.Subscribe(new Regex("x"))));
    }

    [Fact]
    public async Task A_pattern_that_matches_nothing_replaces_the_subscription_before_it()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("a", 1);
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(
            Grouped with { EnableAutoCommit = false });
        consumer.Subscribe("a");
        FakeMembership membership = cluster.Membership!;
        Assert.Equal(["a"], await NextAsync());
        consumer.Subscribe(new Regex("^b"));
        Assert.Empty(await NextAsync());

        // A pattern's place is taken by another, too.
        consumer.Subscribe(new Regex("^a"));
        Assert.Equal(["a"], await NextAsync());
        consumer.Subscribe(new Regex("^c"));
        Assert.Empty(await NextAsync());
        Assert.False(membership.HasLeft);

        Task<IReadOnlyCollection<string>> NextAsync() =>
            membership.Subscriptions.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30));
    }
}
