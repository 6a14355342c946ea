using Confluent.Kafka;
using Confluent.Kafka.Admin;

namespace Arus.Compat.Tests;

/// <summary>Consumer groups of librdkafka.</summary>
[Collection(CompatCollection.Name)]
public sealed class GroupTests(CompatBroker broker)
{
    private const int Records = 400;

    [Theory]
    [InlineData(PartitionAssignmentStrategy.Range)]
    [InlineData(PartitionAssignmentStrategy.RoundRobin)]
    [InlineData(PartitionAssignmentStrategy.CooperativeSticky)]
    public async Task Members_share_partitions_rebalance_and_go_on_from_the_commit(PartitionAssignmentStrategy strategy)
    {
        string topic = await broker.CreateTopicAsync($"group-{strategy}");
        string group = CompatBroker.UniqueName("group");
        await broker.ProduceAsync(topic, 0, Records);
        var progress = new HashSet<int>();
        using (IConsumer<byte[], byte[]> first = Join(group, topic, strategy))
        {
            Consume(progress, Records, (first, 4));
            first.Commit();
            using (IConsumer<byte[], byte[]> second = Join(group, topic, strategy))
            {
                Consume(progress, Records, (first, 2), (second, 2));
                await broker.ProduceAsync(topic, Records, 100);
                Consume(progress, Records + 100, (first, 2), (second, 2));
                first.Commit();
                second.Commit();
                second.Close();
            }

            Consume(progress, Records + 100, (first, 4));
            first.Close();
        }

        // All was committed, so that a new member gets only what comes now.
        await broker.ProduceAsync(topic, Records + 100, 10);
        using IConsumer<byte[], byte[]> third = Join(group, topic, strategy);
        Consume(progress, Records + 110, (third, 4));
        third.Commit();
        third.Close();
        Assert.Equal(Records + 110, await CommittedSumAsync(group));
    }

    [Fact]
    public async Task A_group_is_listed_described_reset_and_deleted()
    {
        string topic = await broker.CreateTopicAsync("administered");
        string group = CompatBroker.UniqueName("administered");
        await broker.ProduceAsync(topic, 0, Records);
        using (IConsumer<byte[], byte[]> member = Join(group, topic, PartitionAssignmentStrategy.Range))
        {
            Consume([], Records, (member, 4));
            ConsumerGroupDescription stable = await DescribeAsync(group);
            Assert.Equal((ConsumerGroupState.Stable, "range"), (stable.State, stable.PartitionAssignor));
            Assert.Equal(4, Assert.Single(stable.Members).Assignment.TopicPartitions.Count);
            member.Commit();
            member.Close();
        }

        Assert.Contains(group, await ListAsync());
        Assert.Equal(ConsumerGroupState.Empty, (await DescribeAsync(group)).State);
        Assert.Equal(Records, await CommittedSumAsync(group));

        var offsets = Enumerable.Range(0, 4).Select(p => new TopicPartitionOffset(topic, p, 5)).ToList();
        await broker.Admin.AlterConsumerGroupOffsetsAsync([new ConsumerGroupTopicPartitionOffsets(group, offsets)])
            .WaitAsync(CompatBroker.Limit);
        Assert.Equal(4 * 5, await CommittedSumAsync(group));

        await DeleteOffsetAsync(group, topic);
        Assert.Equal(3 * 5, await CommittedSumAsync(group));

        await broker.Admin.DeleteGroupsAsync([group]).WaitAsync(CompatBroker.Limit);
        Assert.DoesNotContain(group, await ListAsync());
    }

    [Fact]
    public async Task Offsets_of_a_topic_that_a_member_consumes_are_not_deleted()
    {
        string topic = await broker.CreateTopicAsync("consumed", partitions: 1);
        string group = CompatBroker.UniqueName("consumed");
        await broker.ProduceAsync(topic, 0, 10);
        using IConsumer<byte[], byte[]> member = Join(group, topic, PartitionAssignmentStrategy.Range);
        Consume([], 10, (member, 1));
        member.Commit();
        var refused = await Assert.ThrowsAsync<DeleteConsumerGroupOffsetsException>(() => DeleteOffsetAsync(group, topic));
        Assert.Equal(Confluent.Kafka.ErrorCode.GroupSubscribedToTopic, refused.Result.Partitions[0].Error.Code);
        var notEmpty = await Assert.ThrowsAsync<DeleteGroupsException>(
            () => broker.Admin.DeleteGroupsAsync([group]).WaitAsync(CompatBroker.Limit));
        Assert.Equal(Confluent.Kafka.ErrorCode.NonEmptyGroup, notEmpty.Results[0].Error.Code);
        member.Close();
    }

    private IConsumer<byte[], byte[]> Join(string group, string topic, PartitionAssignmentStrategy strategy)
    {
        IConsumer<byte[], byte[]> member = new ConsumerBuilder<byte[], byte[]>(new ConsumerConfig(broker.Client)
        {
            GroupId = group, AutoOffsetReset = AutoOffsetReset.Earliest, EnableAutoCommit = false, SessionTimeoutMs = 6_000,
            HeartbeatIntervalMs = 200, PartitionAssignmentStrategy = strategy,
        }).Build();
        member.Subscribe(topic);
        return member;
    }

    /// <summary>
    /// Polls the members in turn until each has as many partitions as said and so many records came in all. None may come twice: what was
    /// received is committed before the group changes, or stays with its member.
    /// </summary>
    private static void Consume(HashSet<int> seen, int total, params (IConsumer<byte[], byte[]> Member, int Partitions)[] members)
    {
        using var deadline = new CancellationTokenSource(CompatBroker.Limit);
        while (seen.Count < total || members.Any(one => one.Member.Assignment.Count != one.Partitions))
        {
            Assert.False(deadline.IsCancellationRequested, $"{seen.Count} of {total} records, " +
                $"{string.Join('+', members.Select(one => one.Member.Assignment.Count))} partitions within {CompatBroker.Limit}");
            foreach ((IConsumer<byte[], byte[]> member, _) in members)
            {
                if (member.Consume(TimeSpan.FromMilliseconds(20)) is { } result)
                {
                    int number = NumberedRecord.Check(result.Message);
                    Assert.True(seen.Add(number), $"Record {number} came twice.");
                }
            }
        }

        Assert.Equal(total, seen.Count);
    }

    private Task DeleteOffsetAsync(string group, string topic) => broker.Admin.DeleteConsumerGroupOffsetsAsync(
        group, [new Confluent.Kafka.TopicPartition(topic, 0)]).WaitAsync(CompatBroker.Limit);

    private async Task<IEnumerable<string>> ListAsync() =>
        (await broker.Admin.ListConsumerGroupsAsync().WaitAsync(CompatBroker.Limit)).Valid.Select(group => group.GroupId);

    private async Task<ConsumerGroupDescription> DescribeAsync(string group) =>
        (await broker.Admin.DescribeConsumerGroupsAsync([group]).WaitAsync(CompatBroker.Limit)).ConsumerGroupDescriptions[0];

    private async Task<long> CommittedSumAsync(string group)
    {
        List<ListConsumerGroupOffsetsResult> results =
            await broker.Admin.ListConsumerGroupOffsetsAsync([new ConsumerGroupTopicPartitions(group, null)]).WaitAsync(CompatBroker.Limit);
        return results[0].Partitions.Where(partition => partition.Offset > 0).Sum(partition => partition.Offset.Value);
    }
}
