namespace Arus.Storage.Tests;

public sealed class ProducerTests
{
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
    public async Task Producers_are_those_of_the_records_that_are_left()
    {
        var machine = new Machine();
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"));
        IPartitionLog log = await machine.OpenAsync(config);
        for (int i = 0; i < 40; i++)
            await machine.MustAppendAsync(log, 1, Batches.Idempotent(1, 0, i));

        await machine.RestartAsync(log);
        IEnumerable<string> names = machine.Disk.ListFiles(machine.Directory);
        string[] segments = [.. names.Where(name => name.EndsWith(".log", StringComparison.Ordinal)).Order()];
        foreach (string name in segments[1..])
            machine.Disk.DeleteFile(Path.Combine(machine.Directory, name));

        log = await machine.OpenAsync(config);
        int left = (int)log.LogEndOffset;
        Assert.InRange(left, 1, 20);
        Assert.Equal([(1L, left - 1)], await DescribeAsync());

        // Not as the snapshots have them that were made at these offsets before.
        for (int i = left; i < 45; i++)
            await machine.MustAppendAsync(log, 1, Batches.Idempotent(2, 0, i - left));

        await machine.Scheduler.RunAsync(log.TruncateToAsync(42));
        Assert.Equal([(1L, left - 1), (2L, 41 - left)], (await DescribeAsync()).Order());

        async Task<List<(long Id, int LastSequence)>> DescribeAsync() =>
            [.. (await machine.Scheduler.RunAsync(log.DescribeProducersAsync())).Select(one => (one.ProducerId, one.LastSequence))];
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Producers_are_known_after_a_restart(bool clean)
    {
        var machine = new Machine();
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"));
        IPartitionLog log = await machine.OpenAsync(config);
        for (int i = 0; i < 40; i++)
            await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Idempotent(i % 3, 0, i / 3)], 1));

        if (clean)
            await machine.RestartAsync(log);
        else
            machine.Crash(new Random(1));

        log = await machine.OpenAsync(config);
        Assert.Equal(39, await SendAsync(0, 13));
        LogAppendResult[] gap = await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Idempotent(1, 0, 20)], 1));
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, gap[0].Error);
        Assert.Equal(40, await SendAsync(1, 13));

        async Task<long> SendAsync(long producer, int sequence) =>
            (await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Idempotent(producer, 0, sequence)], 1)))[0].BaseOffset;
    }

    [Fact]
    public async Task Producers_are_known_after_retention_has_taken_their_records_and_the_process_was_killed()
    {
        var machine = new Machine();
        TopicConfig config = LogExtensions.Config(("retention.ms", "1000"));
        IPartitionLog log = await machine.OpenAsync(config);
        await machine.MustAppendAsync(log, 1, Batches.Idempotent(1, 0, 0));
        await machine.RestartAsync(log);
        log = await machine.OpenAsync(config);
        await machine.MustAppendAsync(log, 1, Batches.Idempotent(1, 0, 1));
        await machine.MustAppendAsync(log, 1, Batches.Idempotent(1, 0, 2));
        machine.Time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(1, (await machine.Scheduler.RunAsync(log.MaintainAsync())).SegmentsDeleted);
        Assert.Equal(3, log.LogStartOffset);

        machine.Kill();
        log = await machine.OpenAsync(config);
        LogAppendResult[] next = await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Idempotent(1, 0, 3)], 1));
        Assert.Equal((ErrorCode.None, 3L), (next[0].Error, next[0].BaseOffset));
    }

    [Fact]
    public async Task Producers_are_known_after_retention_has_taken_their_records_and_a_truncation()
    {
        var machine = new Machine();
        TopicConfig config = LogExtensions.Config(("retention.ms", "1000"), ("internal.segment.bytes", "1024"));
        IPartitionLog log = await machine.OpenAsync(config);
        for (int i = 0; i < 20; i++)
            await machine.MustAppendAsync(log, 1, Batches.Idempotent(1, 0, i));

        Assert.InRange(log.SegmentCount, 2, 19);
        machine.Time.Advance(TimeSpan.FromHours(1));
        await machine.Scheduler.RunAsync(log.MaintainAsync());
        Assert.Equal(20, log.LogStartOffset);
        await machine.MustAppendAsync(log, 1, Batches.Idempotent(1, 0, 20));
        await machine.Scheduler.RunAsync(log.TruncateToAsync(20));

        LogAppendResult[] again = await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Idempotent(1, 0, 20)], 1));
        Assert.Equal((ErrorCode.None, 20L), (again[0].Error, again[0].BaseOffset));
    }

    [Fact]
    public void No_more_producers_than_the_limit_are_remembered()
    {
        var producers = new ProducerStateManager(maxProducers: 2);
        for (int i = 0; i < 5; i++)
            producers.Add(Batches.Idempotent(i, 0, 0).Span, i, nowMs: i);

        Assert.Equal([3L, 4L], producers.All.Select(pair => pair.Key).Order());
    }

    [Fact]
    public void The_producer_that_was_silent_for_longest_is_forgotten_also_within_one_millisecond_and_after_a_restart()
    {
        var producers = new ProducerStateManager(maxProducers: 3);
        Use(1, 2, 3, 1, 4, 5, 1, 6);
        Assert.Equal([5L, 1L, 6L], producers.All.Select(pair => pair.Key));
        producers.Add(Batches.Idempotent(1, 0, 3).Span, 9, nowMs: 70);
        ProducerStateManager read = ProducerSnapshot.Deserialize(ProducerSnapshot.Serialize(producers).Bytes, 1)!;
        Assert.Equal([5L, 6L, 1L], read.All.Select(pair => pair.Key));
        producers.Set(6, null);
        Assert.Equal(1, producers.Expire(70));
        Assert.Equal([1L], producers.All.Select(pair => pair.Key));
        Use(7, 8, 9);
        Assert.Equal([7L, 8L, 9L], producers.All.Select(pair => pair.Key));

        void Use(params long[] ids)
        {
            foreach (long id in ids)
                producers.Add(Batches.Idempotent(id, 0, 0).Span, 0, nowMs: 7);
        }
    }

    [Fact]
    public void A_snapshot_stays_as_it_was_taken_while_the_log_goes_on()
    {
        var producers = new ProducerStateManager();
        Use(0, 5); // A full producer is changed in place,
        producers.Add(Batches.Idempotent(2, 0, 0).Span, 7, nowMs: 7); // and this one has room.
        byte[] expected = ProducerSnapshot.Serialize(producers).Bytes;
        Arus.Protocol.ProducerSnapshot taken = ProducerSnapshot.Take(producers);
        Use(5, 9);
        producers.Add(Batches.Idempotent(2, 1, 0).Span, 8, nowMs: 8);
        producers.Set(3, new ProducerState());
        Assert.Equal(expected, ProducerSnapshot.Serialize(taken).Bytes);
        Assert.Equal([4, 5, 6, 7, 8], producers.Find(1)!.Batches.Select(batch => batch.FirstSequence));

        void Use(int from, int to)
        {
            for (int sequence = from; sequence < to; sequence++)
                producers.Add(Batches.Idempotent(1, 0, sequence).Span, sequence, nowMs: sequence);
        }
    }

    /// <summary>A snapshot is taken while appends wait: it costs little then, and little more than its bytes when it is written.</summary>
    [Fact]
    public void A_snapshot_allocates_little_more_than_its_bytes()
    {
        var producers = new ProducerStateManager();
        const int Producers = 10_000;
        for (int i = 0; i < Producers * ProducerState.BatchesKept; i++)
        {
            (int sequence, int id) = Math.DivRem(i, Producers);
            producers.Add(Batches.Idempotent(id * 7919L % Producers, 0, sequence).Span, i, nowMs: i);
        }

        ProducerSnapshot.Serialize(producers);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Arus.Protocol.ProducerSnapshot taken = ProducerSnapshot.Take(producers);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 1, Producers * 48);
        byte[] bytes = ProducerSnapshot.Serialize(taken).Bytes;
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.InRange(allocated, bytes.Length, bytes.Length * 13L / 10);

        before = GC.GetAllocatedBytesForCurrentThread();
        ProducerStateManager read = ProducerSnapshot.Deserialize(bytes, 1)!;
        allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.InRange(allocated, bytes.Length, bytes.Length * 3L);
        Assert.Equal(bytes, ProducerSnapshot.Serialize(read).Bytes);
    }
}
