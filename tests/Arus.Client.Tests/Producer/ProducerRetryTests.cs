using Arus.Testing;
using Orleans.Runtime;

namespace Arus.Client.Tests;

public sealed class ProducerRetryTests
{
    private static readonly ProducerOptions Eager =
        new() { Linger = TimeSpan.Zero, RetryBackoff = TimeSpan.Zero, RetryBackoffMax = TimeSpan.Zero };

    [Fact]
    public async Task Repeats_what_was_not_answered_without_duplicating_it()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        InMemoryPartition partition = cluster.Partition("t", 0);
        int failures = 0;
        partition.FailAfter = _ => failures++ < 2 ? new TimeoutException("no answer") : null;
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager);
        DeliveryResult result = await producer.ProduceAsync(new("t", "k", "v"));
        Assert.Equal(0, result.Offset);
        Assert.Equal(3, partition.Appends.Count);
        Assert.Single(partition.Records());
    }

    [Theory]
    [InlineData(int.MaxValue, 1, 2, 3, 4)]
    [InlineData(200, 5)]
    [InlineData(100, 6)]
    [InlineData(80, 7, 8)]
    public Task Whatever_fails_acknowledged_records_are_there_once_and_in_order(int maxBatchBytes, params int[] regressions) =>
        Seeds.RunAsync(fresh: 2, seed => AppendUnderFaultsAsync(seed, maxBatchBytes), regressions);

    private static async Task AppendUnderFaultsAsync(int seed, int maxBatchBytes)
    {
        var random = new Random(seed);
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 3);
        for (int p = 0; p < 3; p++)
        {
            InMemoryPartition partition = cluster.Partition("t", p);
            partition.MaxBatchBytes = maxBatchBytes;
            partition.FailBefore = _ => Chance(random, 0.2) ? new SiloUnavailableException("gone") : null;
            partition.FailAfter = _ => Chance(random, 0.2) ? new TimeoutException("no answer") : null;
            partition.Refuse = () =>
                Chance(random, 0.02) ? ErrorCode.NotLeaderOrFollower : Chance(random, 0.02) ? ErrorCode.InvalidRecord : ErrorCode.None;
        }

        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager with { BatchSize = 400 });
        var pending = new List<(string Value, PendingDelivery Delivery)>();
        for (int i = 0; i < 600; i++)
            pending.Add(($"v{i}", await producer.EnqueueAsync(new("t", null, $"v{i}") { Partition = i % 3 })));

        await producer.FlushAsync();
        var acknowledged = new HashSet<string>();
        var doubtful = new HashSet<string>();
        foreach ((string value, PendingDelivery delivery) in pending)
        {
            try
            {
                await delivery.GetResultAsync();
                acknowledged.Add(value);
            }
            catch (ProduceException e)
            {
                // The parts of a batch that got no answer cannot be told from it, and fail once one of them is refused.
                bool isDoubtful = e is { Code: ErrorCode.OutOfOrderSequenceNumber, MayHaveBeenAppended: true }
                    && maxBatchBytes < int.MaxValue;
                Assert.True(e.Code == ErrorCode.InvalidRecord || isDoubtful, $"seed {seed}: {e.Code} {e.Message}");
                _ = isDoubtful && doubtful.Add(value);
            }
        }

        for (int p = 0; p < 3; p++)
        {
            // A record whose failure says that it may be on the log may be there, in its place and once.
            string[] onLog = [.. cluster.Partition("t", p).Records().Select(r => r.Value!)];
            string[] expected = [.. pending.Where(x => x.Delivery.Partition.Partition == p).Select(x => x.Value)
                .Where(value => acknowledged.Contains(value) || (doubtful.Contains(value) && onLog.Contains(value)))];
            Assert.True(expected.SequenceEqual(onLog), $"seed {seed}, partition {p}");
        }

        Assert.InRange(acknowledged.Count, 50, 600);
    }

    [Fact]
    public async Task After_a_batch_is_lost_for_good_the_next_ones_begin_a_new_epoch()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        InMemoryPartition partition = cluster.Partition("t", 0);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager);
        await producer.ProduceAsync(new("t", "k", "first"));
        partition.Refuse = () => ErrorCode.InvalidRecord;
        ProduceException e = await Assert.ThrowsAsync<ProduceException>(() => producer.ProduceAsync(new("t", "k", "second")));
        Assert.Equal((ErrorCode.InvalidRecord, false), (e.Code, e.MayHaveBeenAppended));
        partition.Refuse = null;
        Assert.Equal(1, (await producer.ProduceAsync(new("t", "k", "third"))).Offset);
        RecordBatchHeader last = new(partition.Appends[^1].Entries[0].Span);
        Assert.Equal((1, 0), (last.ProducerEpoch, last.BaseSequence));
    }

    [Fact]
    public async Task A_failure_that_is_known_already_is_in_the_task_too()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        cluster.Partition("t", 0).Refuse = () => ErrorCode.InvalidRecord;
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager);
        PendingDelivery pending = await producer.EnqueueAsync(new("t", "k", "v"));
        await pending.BatchCompletion;

        // ProduceAsync makes the same call, when its batch may have been refused already.
        ValueTask<DeliveryResult> result = pending.GetResultAsync();
        Assert.True(result.IsFaulted);
        Assert.Equal(ErrorCode.InvalidRecord, (await Assert.ThrowsAsync<ProduceException>(result.AsTask)).Code);
    }

    [Fact]
    public async Task A_call_that_is_never_answered_is_made_again()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("t", 1);
        InMemoryPartition partition = cluster.Partition("t", 0);
        IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            Eager with { RequestTimeout = TimeSpan.FromSeconds(10) });
        await producer.ProduceAsync(new("t", "k", "first"));
        partition.LoseNextCall = true;
        Task called = partition.NextCallAsync();
        Task<DeliveryResult> produced = producer.ProduceAsync(new("t", "k", "second"));
        await called;
        await time.WaitForArmedTimersAsync(1);
        time.Advance(TimeSpan.FromSeconds(15));
        Assert.Equal(1, (await produced).Offset);
        Assert.Equal(3, partition.Appends.Count);
    }

    [Fact]
    public async Task A_call_that_is_lost_with_a_silo_is_made_again_without_waiting_for_its_time()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("t", 1);
        InMemoryPartition partition = cluster.Partition("t", 0);
        IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager);
        await producer.ProduceAsync(new("t", "k", "first"));
        partition.LoseNextCall = true;
        Task called = partition.NextCallAsync();
        Task<DeliveryResult> produced = producer.ProduceAsync(new("t", "k", "second"));
        await called;
        await time.WaitForArmedTimersAsync(1);
        cluster.Losses.Report();
        time.AdvanceToNextTimer();
        Assert.Equal(1, (await produced.WaitAsync(TestTimeout.Value)).Offset);
        Assert.True(time.Elapsed < TimeSpan.FromSeconds(1), $"it took {time.Elapsed}");
        Assert.Equal(3, partition.Appends.Count);
    }

    [Fact]
    public async Task An_append_names_the_topics_id_and_goes_to_another_topic_of_the_name_only_when_that_was_looked_up()
    {
        var cluster = new FakeCluster();
        Guid before = cluster.AddTopic("t", 1).Id;
        InMemoryPartition partition = cluster.Partition("t", 0);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager);
        await producer.ProduceAsync(new("t", "k", "first"));
        Guid after = cluster.AddTopic("t", 1).Id;
        int refusals = 0;
        partition.Refuse = () => refusals++ == 0 ? ErrorCode.UnknownTopicId : ErrorCode.None;
        await producer.ProduceAsync(new("t", "k", "second"));
        Assert.Equal([before, before, after], partition.Appends.Select(append => append.TopicId));
    }

    [Fact]
    public async Task Without_acks_nobody_waits_for_the_answer()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        InMemoryPartition partition = cluster.Partition("t", 0);
        partition.Hold();
        IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager with { Acks = Acks.None });
        Assert.Equal(-1, (await producer.ProduceAsync(new("t", "k", "v"))).Offset);
        Assert.Empty(partition.Records());
        partition.Release();
        await producer.ProduceAsync(new("t", "k", "w"));
    }

    [Fact]
    public async Task Fails_what_is_not_acknowledged_in_time()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("t", 1);
        IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            new ProducerOptions { Linger = TimeSpan.Zero, DeliveryTimeout = TimeSpan.FromSeconds(10),
                RetryBackoff = TimeSpan.FromSeconds(4), RetryBackoffMax = TimeSpan.FromSeconds(4) });
        await producer.ProduceAsync(new("t", "k", "v"));
        cluster.Partition("t", 0).FailBefore = _ => new TimeoutException("no answer");
        Task<DeliveryResult> produced = producer.ProduceAsync(new("t", "k", "v"));
        while (!produced.IsCompleted)
        {
            await Task.WhenAny(produced, time.WaitForArmedTimersAsync(1));
            time.AdvanceToNextTimer();
        }

        ProduceException e = await Assert.ThrowsAsync<ProduceException>(() => produced);
        Assert.Equal((ErrorCode.RequestTimedOut, true), (e.Code, e.MayHaveBeenAppended));
    }

    [Fact]
    public async Task Says_what_is_wrong_with_a_record_or_a_topic()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            Eager with { MaxRequestSize = 1000 });
        Assert.Equal(
            ErrorCode.UnknownTopicOrPartition,
                (await Assert.ThrowsAsync<ArusException>(() => producer.ProduceAsync(new("none", "k", "v")))).Code);
        Assert.Equal(
            ErrorCode.InvalidTopicException,
                (await Assert.ThrowsAsync<ArusException>(() => producer.ProduceAsync(new("a b", "k", "v")))).Code);
        ArusException large = await Assert.ThrowsAsync<ArusException>(() => producer.ProduceAsync(new("t", "k", new string('x', 1000))));
        Assert.Equal(ErrorCode.MessageTooLarge, large.Code);
        Assert.Contains("max.request.size", large.Message, StringComparison.Ordinal);
        Assert.Throws<NotSupportedException>(() => cluster.Client.CreateProducer<string, Version>());
        Assert.Throws<ArgumentException>(
            () => cluster.Client.CreateProducer<string, string>(new ProducerOptions { Acks = Acks.Leader, EnableIdempotence = true }));
    }

    [Fact]
    public async Task A_deleted_topic_fails_its_records_instead_of_holding_them()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 2);
        cluster.Partition("t", 1).Refuse = () => ErrorCode.UnknownTopicOrPartition;
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager);
        await producer.ProduceAsync(new("t", "k", "v") { Partition = 0 });
        cluster.AddTopic("t", 1);
        ProduceException e = await Assert.ThrowsAsync<ProduceException>(() => producer.ProduceAsync(new("t", "k", "v") { Partition = 1 }));
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, e.Code);
    }

    private static bool Chance(Random random, double chance)
    {
        lock (random)
            return random.NextDouble() < chance;
    }
}
