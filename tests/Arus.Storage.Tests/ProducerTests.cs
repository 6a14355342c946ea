namespace Arus.Storage.Tests;

public sealed class ProducerTests
{
    [Fact]
    public async Task The_last_five_batches_are_known_as_duplicates_and_answer_their_first_offset()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        for (int i = 0; i < 6; i++)
        {
            Assert.Equal(i * 2, await log.MustAppendAsync(Batches.Idempotent(1, 0, i * 2, count: 2)));
        }

        for (int i = 1; i < 6; i++)
        {
            Assert.Equal(i * 2, await log.MustAppendAsync(Batches.Idempotent(1, 0, i * 2, count: 2)));
        }

        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, (await log.AppendOneAsync(Batches.Idempotent(1, 0, 0, count: 2))).Error);
        Assert.Equal(12, log.LogEndOffset);
    }

    [Fact]
    public async Task Sequences_must_follow_each_other()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        await log.MustAppendAsync(Batches.Idempotent(1, 0, 0));
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, (await log.AppendOneAsync(Batches.Idempotent(1, 0, 2))).Error);
        await log.MustAppendAsync(Batches.Idempotent(1, 0, 1));
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, (await log.AppendOneAsync(Batches.Idempotent(1, 1, 5))).Error);
        await log.MustAppendAsync(Batches.Idempotent(1, 1, 0));
        LogAppendResult old = await log.AppendOneAsync(Batches.Idempotent(1, 0, 2));
        Assert.Equal(ErrorCode.InvalidProducerEpoch, old.Error);
        Assert.Contains("epoch 1", old.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_producer_may_begin_anywhere_and_sequences_wrap()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        await log.MustAppendAsync(Batches.Idempotent(1, 0, int.MaxValue - 1, count: 3));
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, (await log.AppendOneAsync(Batches.Idempotent(1, 0, 2))).Error);
        Assert.Equal(3, await log.MustAppendAsync(Batches.Idempotent(1, 0, 1)));
    }

    [Fact]
    public async Task A_duplicate_waits_until_the_first_is_durable()
    {
        var machine = new Machine();
        IPartitionLog log = await machine.OpenAsync();
        ValueTask<LogAppendResult[]> first = log.AppendAsync([Batches.Idempotent(1, 0, 0)], 1);
        ValueTask<LogAppendResult[]> again = log.AppendAsync([Batches.Idempotent(1, 0, 0)], 1);
        Assert.False(again.IsCompleted);
        machine.Scheduler.RunAll();
        Assert.Equal((0L, 0L), ((await first)[0].BaseOffset, (await again)[0].BaseOffset));
        Assert.Equal(1, log.LogEndOffset);
    }

    [Fact]
    public async Task Several_batches_of_one_entry_are_all_taken_or_none()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        byte[] broken = [.. Batches.Idempotent(1, 0, 0).Span, .. Batches.Idempotent(1, 0, 5).Span];
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, (await log.AppendOneAsync(broken)).Error);
        byte[] whole = [.. Batches.Idempotent(1, 0, 0).Span, .. Batches.Idempotent(1, 0, 1).Span];
        Assert.Equal(0, await log.MustAppendAsync(whole));
        Assert.Equal(2, log.LogEndOffset);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Producers_are_known_after_a_restart(bool clean)
    {
        var machine = new Machine();
        TopicConfig config = LogExtensions.Config(("segment.bytes", "1024"));
        IPartitionLog log = await machine.OpenAsync(config);
        for (int i = 0; i < 40; i++)
        {
            await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Idempotent(i % 3, 0, i / 3)], 1));
        }

        if (clean)
        {
            await machine.RestartAsync(log);
        }
        else
        {
            machine.Crash(new Random(1));
        }

        log = await machine.OpenAsync(config);
        Assert.Equal(39, await SendAsync(0, 13));
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, (await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Idempotent(1, 0, 20)], 1)))[0].Error);
        Assert.Equal(40, await SendAsync(1, 13));

        async Task<long> SendAsync(long producer, int sequence) =>
            (await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Idempotent(producer, 0, sequence)], 1)))[0].BaseOffset;
    }

    [Fact]
    public async Task Truncation_takes_producers_back()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync(LogExtensions.Config(("segment.bytes", "1024")));
        for (int i = 0; i < 40; i++)
        {
            await log.MustAppendAsync(Batches.Idempotent(1, 0, i));
        }

        await log.TruncateToAsync(17);
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, (await log.AppendOneAsync(Batches.Idempotent(1, 0, 40))).Error);
        Assert.Equal(16, await log.MustAppendAsync(Batches.Idempotent(1, 0, 16)));
        Assert.Equal(17, await log.MustAppendAsync(Batches.Idempotent(1, 0, 17)));
    }

    [Fact]
    public async Task An_idle_producer_is_forgotten()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        await log.MustAppendAsync(Batches.Idempotent(1, 0, 0));
        fixture.Time.Advance(TimeSpan.FromHours(23));
        Assert.Equal(0, (await log.MaintainAsync()).ProducersExpired);
        fixture.Time.Advance(TimeSpan.FromHours(2));
        Assert.Equal(1, (await log.MaintainAsync()).ProducersExpired);
        Assert.Equal(1, await log.MustAppendAsync(Batches.Idempotent(1, 0, 77)));
    }

    [Fact]
    public void No_more_producers_than_the_limit_are_remembered()
    {
        var producers = new ProducerStateManager(maxProducers: 2);
        for (int i = 0; i < 5; i++)
        {
            producers.Add(new RecordBatchHeader(Batches.Idempotent(i, 0, 0).Span), i, nowMs: i);
        }

        Assert.Equal([3L, 4L], producers.All.Select(pair => pair.Key).Order());
    }

    [Fact]
    public void The_producer_that_was_silent_for_longest_is_forgotten_also_within_one_millisecond_and_after_a_restart()
    {
        var producers = new ProducerStateManager(maxProducers: 3);
        Use(1, 2, 3, 1, 4, 5, 1, 6);
        Assert.Equal([5L, 1L, 6L], producers.All.Select(pair => pair.Key));
        producers.Add(new RecordBatchHeader(Batches.Idempotent(1, 0, 3).Span), 9, nowMs: 70);
        ProducerStateManager read = ProducerSnapshot.Deserialize(ProducerSnapshot.Serialize(producers))!;
        Assert.Equal([5L, 6L, 1L], read.All.Select(pair => pair.Key));
        producers.Set(6, null);
        Assert.Equal(1, producers.Expire(70));
        Assert.Equal([1L], producers.All.Select(pair => pair.Key));
        Use(7, 8, 9);
        Assert.Equal([7L, 8L, 9L], producers.All.Select(pair => pair.Key));

        void Use(params long[] ids)
        {
            foreach (long id in ids)
            {
                producers.Add(new RecordBatchHeader(Batches.Idempotent(id, 0, 0).Span), 0, nowMs: 7);
            }
        }
    }
}
