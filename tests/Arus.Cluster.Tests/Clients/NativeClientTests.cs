using Arus.Testing;
using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using Arus.Client;
using Arus.Grains;

namespace Arus.Cluster.Tests.Clients;

/// <summary>The native client against real brokers.</summary>
public sealed class NativeClientTests : IAsyncLifetime
{
    private static readonly ProducerOptions Eager = new()
    {
        Linger = TimeSpan.FromMilliseconds(1), BatchSize = 2_000, RetryBackoff = TimeSpan.FromMilliseconds(20),
    };

    private BrokerCluster _cluster = null!;
    private IArusClient Client => _cluster.Client;

    public async Task InitializeAsync() =>
        _cluster = await BrokerCluster.StartAsync(2, (BrokerConfigs.GroupInitialRebalanceDelayMs, "0"));

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Fact]
    public async Task What_is_produced_with_any_codec_is_consumed_in_order()
    {
        await Client.Admin.CreateTopicAsync(new NewTopic("codecs", Partitions: 3));
        foreach (CompressionType codec in Enum.GetValues<CompressionType>())
        {
            await using IProducer<string, string> producer = Client.CreateProducer<string, string>(Eager with { Compression = codec });
            for (int i = 0; i < 300; i++)
                await producer.EnqueueAsync(new("codecs", $"{i % 17}", $"{codec}-{i}") { Headers = [new("n", BitConverter.GetBytes(i))] });

            await producer.FlushAsync();
        }

        await using IConsumer<string, string> consumer = Client.CreateConsumer<string, string>();
        consumer.Assign([.. Enumerable.Range(0, 3).Select(p => new TopicPartitionOffset("codecs", p, TopicPartitionOffset.Beginning))]);
        var last = new Dictionary<(string Codec, string Key), int>();
        int read = 0;
        await foreach (ConsumeResult<string, string> record in consumer.ConsumeAsync(TestTimeout.Token))
        {
            string[] value = record.Value!.Split('-');
            int number = int.Parse(value[1]);
            Assert.Equal(record.Key, $"{number % 17}");
            Assert.Equal(number, BitConverter.ToInt32(record.Headers.Find("n")!.Value.Value!.Value.Span));
            Assert.True(last.GetValueOrDefault((value[0], record.Key!), -1) < number);
            last[(value[0], record.Key!)] = number;
            if (++read == 1500)
                break;
        }

        Assert.Equal(0, consumer.Assignment.Sum(p => consumer.Lag(p)));
    }

    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    public async Task Batches_larger_than_the_topic_allows_are_split(CompressionType codec)
    {
        string topic = $"small-{codec}";
        await Client.Admin.CreateTopicAsync(
            new NewTopic(topic, Partitions: 1) { Configs = new Dictionary<string, string> { ["max.message.bytes"] = "300" } });
        await using IProducer<string, string> producer = Client.CreateProducer<string, string>(Eager with { Compression = codec });
        var pending = new List<PendingDelivery>();
        var random = new Random(7);
        for (int i = 0; i < 400; i++)
        {
            string noise = Convert.ToHexString(BitConverter.GetBytes(random.NextInt64()));
            string value = i == 200 ? string.Concat(Enumerable.Range(0, 100).Select(_ => random.NextInt64())) : noise;
            pending.Add(await producer.EnqueueAsync(new(topic, $"{i}", value)));
        }

        await producer.FlushAsync();
        for (int i = 0; i < 400; i++)
        {
            if (i == 200)
            {
                ProduceException e = await Assert.ThrowsAsync<ProduceException>(() => pending[i].GetResultAsync().AsTask());
                Assert.Equal(ErrorCode.MessageTooLarge, e.Code);
                continue;
            }

            Assert.Equal(i < 200 ? i : i - 1, (await pending[i].GetResultAsync()).Offset);
        }
    }

    [Fact]
    public async Task A_pattern_finds_topics_that_are_created_later()
    {
        await using IConsumer<string, string> consumer = Client.CreateConsumer<string, string>(new ConsumerOptions
        {
            GroupId = "by-pattern", AutoOffsetReset = AutoOffsetReset.Earliest, HeartbeatInterval = TimeSpan.FromMilliseconds(100),
            MetadataMaxAge = TimeSpan.FromMilliseconds(100), FetchMaxWait = TimeSpan.FromMilliseconds(500),
        });
        consumer.Subscribe(new Regex("^late"));
        await using IProducer<string, string> producer = Client.CreateProducer<string, string>(Eager);
        foreach (string topic in new[] { "late.1", "late.2" })
        {
            await Client.Admin.CreateTopicAsync(new NewTopic(topic, Partitions: 2));
            await producer.ProduceAsync(new(topic, "k", topic));
            Assert.Equal(topic, Assert.Single(await consumer.PollAsync(TestTimeout.Value)).Value);
        }
    }

    [Fact]
    public async Task Members_that_come_and_go_process_every_record_and_commit_it()
    {
        const int Count = 3_000;
        await Client.Admin.CreateTopicAsync(new NewTopic("shared", Partitions: 4));
        var seen = new ConcurrentDictionary<string, int>();
        var all = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var options = new ConsumerOptions
        {
            GroupId = "shared-group", AutoOffsetReset = AutoOffsetReset.Earliest, HeartbeatInterval = TimeSpan.FromMilliseconds(100),
            MaxPollRecords = 50, FetchMaxWait = TimeSpan.FromMilliseconds(500),
        };
        async Task ConsumeAsync(int atMost, CancellationToken stop)
        {
            await using IConsumer<string, string> consumer = Client.CreateConsumer<string, string>(options);
            consumer.Subscribe("shared");
            int mine = 0;
            while (mine < atMost && !stop.IsCancellationRequested)
            {
                foreach (ConsumeResult<string, string> record in
                    await consumer.PollAsync(TimeSpan.FromMilliseconds(200), TestTimeout.Token))
                {
                    mine++;
                    seen.AddOrUpdate(record.Value!, 1, (_, n) => n + 1);
                    if (seen.Count == Count)
                        all.TrySetResult();
                }
            }

            await consumer.UnsubscribeAsync(TestTimeout.Token);
        }

        using var stop = new CancellationTokenSource();
        Task stays = ConsumeAsync(int.MaxValue, stop.Token);
        Task leaves = ConsumeAsync(200, stop.Token);
        await using (IProducer<string, string> producer = Client.CreateProducer<string, string>(Eager))
        {
            for (int i = 0; i < Count; i++)
                await producer.EnqueueAsync(new("shared", $"{i}", $"v{i}"));
        }

        await Task.WhenAny(all.Task, stays);
        await stop.CancelAsync();
        await Task.WhenAll(stays, leaves);
        Assert.Equal(Count, seen.Count);
        IReadOnlyList<CommittedOffset> committed = await Client.Admin.ListGroupOffsetsAsync("shared-group");
        Assert.Equal(Count, committed.Sum(c => c.Offset));

        // They left in order and committed what they had processed, so nothing came twice.
        Assert.Equal(Count, seen.Values.Sum());
    }

    [Fact]
    public async Task A_broker_that_is_killed_while_records_come_costs_none_and_doubles_none()
    {
        await _cluster.CreateTopicOnAsync("survivor", 1, 2);
        await using IProducer<string, string> producer = Client.CreateProducer<string, string>(Eager);
        var acknowledged = new List<PendingDelivery>();
        for (int i = 0; i < 2_000; i++)
        {
            acknowledged.Add(await producer.EnqueueAsync(new("survivor", null, $"{i}") { Partition = i % 2 }));
            if (i == 1_000)
            {
                await acknowledged[500].GetResultAsync();
                await _cluster.KillAsync(2);
                await _cluster.RestartAsync(2);
            }
        }

        await producer.FlushAsync();
        foreach (PendingDelivery delivery in acknowledged)
            await delivery.GetResultAsync();

        await using IConsumer<string, string> consumer = Client.CreateConsumer<string, string>();
        consumer.Assign(new TopicPartitionOffset("survivor", 0, 0), new TopicPartitionOffset("survivor", 1, 0));
        List<int>[] read = [[], []];
        while (read.Sum(r => r.Count) < 2_000)
        {
            foreach (ConsumeResult<string, string> record in await consumer.PollAsync(TestTimeout.Value))
                read[record.Partition.Partition].Add(int.Parse(record.Value!));
        }

        Assert.Equal(Enumerable.Range(0, 1_000).Select(i => 2 * i), read[0]);
        Assert.Equal(Enumerable.Range(0, 1_000).Select(i => (2 * i) + 1), read[1]);
    }

    [Fact]
    public async Task A_processor_retries_buries_and_commits()
    {
        await Client.Admin.CreateTopicAsync(new NewTopic("jobs", Partitions: 2));
        await Client.Admin.CreateTopicAsync(new NewTopic("jobs.DLT", Partitions: 1));
        await using (IProducer<string, string> producer = Client.CreateProducer<string, string>(Eager))
        {
            for (int i = 0; i < 200; i++)
                await producer.EnqueueAsync(new("jobs", $"k{i % 10}", i == 50 ? "poison" : $"{i}"));
        }

        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        int processed = 0;
        using var stop = new CancellationTokenSource();
        await using IRecordProcessor processor = Client.CreateProcessor<string, string>(
            new RecordProcessorOptions
            {
                Consumer = new ConsumerOptions
                {
                    GroupId = "workers", AutoOffsetReset = AutoOffsetReset.Earliest, FetchMaxWait = TimeSpan.FromMilliseconds(500),
                },
                Topics = ["jobs"],
                OnFailure = FailureAction.DeadLetter,
                RetryBackoff = TimeSpan.FromMilliseconds(1),
            },
            (record, _) =>
            {
                if (record.Value == "poison")
                    throw new InvalidOperationException("poison");

                if (Interlocked.Increment(ref processed) == 199)
                    done.SetResult();

                return default;
            });
        Task run = processor.RunAsync(stop.Token);
        await using IConsumer<string, string> letters = Client.CreateConsumer<string, string>();
        letters.Assign(new TopicPartitionOffset("jobs.DLT", 0, TopicPartitionOffset.Beginning));
        Assert.Equal("poison", Assert.Single(await letters.PollAsync(TestTimeout.Value)).Value);
        await Task.WhenAny(done.Task, run);
        await stop.CancelAsync();
        await run;
        Assert.Equal(200, (await Client.Admin.ListGroupOffsetsAsync("workers")).Sum(c => c.Offset));
    }
}
