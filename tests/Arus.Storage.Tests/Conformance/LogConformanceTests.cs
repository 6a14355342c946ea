namespace Arus.Storage.Tests.Conformance;

/// <summary>What every implementation of <see cref="IPartitionLog"/> does, whatever it keeps records in.</summary>
public abstract partial class LogConformanceTests(LogHost host) : IAsyncLifetime
{
    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await host.DisposeAsync();

    private long NowMs => host.Time.GetUtcNow().ToUnixTimeMilliseconds();

    [Fact]
    public async Task Records_get_consecutive_offsets_and_are_read_back()
    {
        IPartitionLog log = await host.OpenAsync();
        Assert.Equal(0, await log.MustAppendAsync(Batches.Of("a", "b")));
        Assert.Equal(2, await log.MustAppendAsync(Batches.Of("c"), epoch: 7));
        Assert.Equal((0, 3, 3), (log.LogStartOffset, log.HighWatermark, log.LogEndOffset));
        Assert.Equal(7, log.LatestEpoch);
        Assert.Equal([(0, null, "a"), (1, null, "b"), (2, null, "c")], await log.ReadAllAsync());
        Assert.Equal(["b", "c"], await log.ReadValuesAsync(1));
    }

    [Fact]
    public async Task Base_offset_and_epoch_are_written_and_the_rest_is_kept()
    {
        IPartitionLog log = await host.OpenAsync();
        await log.MustAppendAsync(Batches.Of("a"));
        ReadOnlyMemory<byte> sent = Batches.Of("b", "c");
        await log.MustAppendAsync(sent, epoch: 3);
        LogReadResult read = await log.ReadAsync(1, 1 << 20, minOneBatch: true);
        byte[] expected = sent.ToArray();
        RecordBatches.SetBaseOffset(expected, 1);
        RecordBatches.SetPartitionLeaderEpoch(expected, 3);
        Assert.Equal(expected, read.Records.Single().ToArray());
    }

    [Fact]
    public async Task What_was_appended_survives_a_restart()
    {
        IPartitionLog log = await host.OpenAsync();
        for (int i = 0; i < 100; i++)
            await log.MustAppendAsync(Batches.Of($"{i}"));

        log = await host.ReopenAsync();
        Assert.Equal(Enumerable.Range(0, 100).Select(i => $"{i}"), await log.ReadValuesAsync());
        Assert.Equal(100, await log.MustAppendAsync(Batches.Of("more")));
        Assert.Equal("more", (await log.ReadValuesAsync()).Last());
    }

    [Fact]
    public async Task Pipelined_appends_keep_their_order_and_share_group_commits()
    {
        IPartitionLog log = await host.OpenAsync(leaderEpoch: 1);
        Task<LogAppendResult[]>[] appends;
        using (host.HoldCommits())
        {
            appends = [.. Enumerable.Range(0, 1000).Select(i => log.AppendAsync([Batches.Of($"{i}")], 1).AsTask())];
            Assert.All(appends, append => Assert.False(append.IsCompleted));
            Assert.Equal(0, log.HighWatermark);
        }

        LogAppendResult[][] results = await Task.WhenAll(appends);
        Assert.Equal(Enumerable.Range(0, 1000).Select(i => (long)i), results.Select(result => result[0].BaseOffset));
        Assert.Equal(Enumerable.Range(0, 1000).Select(i => $"{i}"), await log.ReadValuesAsync());
        Assert.InRange(host.Commits, 1, 2); // The first append may have a commit of its own.
    }

    [Fact]
    public async Task Reads_obey_the_byte_limit_in_whole_batches()
    {
        IPartitionLog log = await host.OpenAsync();
        await log.AppendAsync([.. Enumerable.Repeat(Batches.Sized(100), 10)], 1);
        await Check(log);
        await Check(await host.ReopenAsync());

        static async Task Check(IPartitionLog log)
        {
            Assert.Equal(300, Length(await log.ReadAsync(2, 399, minOneBatch: false)));
            Assert.Equal(400, Length(await log.ReadAsync(2, 400, minOneBatch: false)));
            Assert.Equal(0, Length(await log.ReadAsync(2, 99, minOneBatch: false)));
            Assert.Equal(100, Length(await log.ReadAsync(2, 99, minOneBatch: true)));
            Assert.Equal(800, Length(await log.ReadAsync(2, int.MaxValue, minOneBatch: true)));
        }

        static int Length(LogReadResult result) => result.Records.Sum(slice => slice.Length);
    }

    [Fact]
    public async Task Offsets_outside_the_log_are_refused_and_its_end_is_empty()
    {
        IPartitionLog log = await host.OpenAsync();
        await log.MustAppendAsync(Batches.Of("a"));
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await log.ReadAsync(2, 100, true)).Error);
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await log.ReadAsync(-1, 100, true)).Error);
        LogReadResult end = await log.ReadAsync(1, 100, true);
        Assert.Equal((ErrorCode.None, 0, 1L), (end.Error, end.Records.Length, end.HighWatermark));
    }

    [Fact]
    public async Task A_wait_ends_by_records_time_cancellation_or_closing()
    {
        IPartitionLog log = await host.OpenAsync();
        ValueTask<bool> arrival = log.WaitForAsync(0, TimeSpan.FromSeconds(1));
        ValueTask<bool> later = log.WaitForAsync(5, TimeSpan.FromSeconds(1));
        ValueTask<bool> closed = log.WaitForAsync(5, Timeout.InfiniteTimeSpan);
        using var cancellation = new CancellationTokenSource();
        ValueTask<bool> cancelled = log.WaitForAsync(5, TimeSpan.FromSeconds(1), cancellation.Token);
        Assert.False(arrival.IsCompleted);

        await log.MustAppendAsync(Batches.Of("a"));
        Assert.True(await arrival);
        Assert.True(await log.WaitForAsync(0, TimeSpan.Zero));
        Assert.False(await log.WaitForAsync(1, TimeSpan.Zero));
        await cancellation.CancelAsync();
        Assert.False(await cancelled);
        host.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.False(await later);
        await log.DisposeAsync();
        Assert.False(await closed);
    }

    [Fact]
    public async Task A_closed_log_serves_no_more()
    {
        IPartitionLog log = await host.OpenAsync();
        await log.MustAppendAsync(Batches.Of("a"));
        await log.DisposeAsync();
        Assert.Equal(ErrorCode.NotLeaderOrFollower, (await log.AppendOneAsync(Batches.Of("b"))).Error);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, (await log.ReadAsync(0, 100, true)).Error);
        Assert.Equal(default, await log.MaintainAsync());
        await Assert.ThrowsAsync<LogException>(async () => await log.DeleteRecordsAsync(1));
        await Assert.ThrowsAsync<LogException>(async () => await log.TruncateToAsync(0));
    }

    [Fact]
    public async Task An_older_leader_epoch_is_fenced()
    {
        IPartitionLog log = await host.OpenAsync();
        await log.MustAppendAsync(Batches.Of("a"), epoch: 5);
        Assert.Equal(ErrorCode.FencedLeaderEpoch, (await log.AppendOneAsync(Batches.Of("b"), epoch: 4)).Error);
        Assert.Equal(1, log.LogEndOffset);
    }

    [Fact]
    public async Task The_end_of_each_epoch_is_known_after_a_restart_too()
    {
        IPartitionLog log = await host.OpenAsync();
        Assert.Equal(new LogEpochEnd(-1, -1), log.EpochEnd(0));
        await log.MustAppendAsync(Batches.Of("a", "b"), epoch: 2);
        await log.MustAppendAsync(Batches.Of("c"), epoch: 5);
        await log.MustAppendAsync(Batches.Of("d"), epoch: 5);
        Check(log);
        Check(await host.ReopenAsync());

        static void Check(IPartitionLog log)
        {
            Assert.Equal(new LogEpochEnd(1, 0), log.EpochEnd(1));
            Assert.Equal(new LogEpochEnd(2, 2), log.EpochEnd(2));
            Assert.Equal(new LogEpochEnd(2, 2), log.EpochEnd(4));
            Assert.Equal(new LogEpochEnd(5, 4), log.EpochEnd(5));
            Assert.Equal(new LogEpochEnd(-1, -1), log.EpochEnd(6));
        }
    }

    [Fact]
    public async Task An_entry_is_appended_whole_or_not_at_all()
    {
        IPartitionLog log = await host.OpenAsync();
        byte[] good = [.. Batches.Of("a").Span, .. Batches.Of("b").Span];
        byte[] bad = [.. Batches.Of("c").Span, .. Batches.Of("d").Span];
        bad[^1] ^= 1;
        LogAppendResult[] results = await log.AppendAsync([good, bad, Batches.Of("e")], 1, AppendOrigin.Coordinator);
        Assert.Equal([ErrorCode.None, ErrorCode.CorruptMessage, ErrorCode.None], results.Select(result => result.Error));
        Assert.Equal([0, -1, 2], results.Select(result => result.BaseOffset));
        Assert.Equal(["a", "b", "e"], await log.ReadValuesAsync());
    }

    [Fact]
    public async Task Appends_obey_a_configuration_that_was_changed()
    {
        IPartitionLog log = await host.OpenAsync();
        await log.MustAppendAsync(Batches.Sized(501));
        log.Reconfigure(LogExtensions.Config(("max.message.bytes", "500")));
        Assert.Equal(ErrorCode.MessageTooLarge, (await log.AppendOneAsync(Batches.Sized(501))).Error);
        Assert.Equal(1, await log.MustAppendAsync(Batches.Sized(500)));
    }

    [Fact]
    public async Task The_last_five_batches_are_known_as_duplicates_and_answer_their_first_offset()
    {
        IPartitionLog log = await host.OpenAsync();
        for (int i = 0; i < 6; i++)
            Assert.Equal(i * 2, await log.MustAppendAsync(Batches.Idempotent(1, 0, i * 2, count: 2)));

        for (int i = 1; i < 6; i++)
            Assert.Equal(i * 2, await log.MustAppendAsync(Batches.Idempotent(1, 0, i * 2, count: 2)));

        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, (await log.AppendOneAsync(Batches.Idempotent(1, 0, 0, count: 2))).Error);
        Assert.Equal(12, log.LogEndOffset);
        log = await host.ReopenAsync();
        Assert.Equal(10, await log.MustAppendAsync(Batches.Idempotent(1, 0, 10, count: 2)));
        Assert.Equal(12, await log.MustAppendAsync(Batches.Idempotent(1, 0, 12, count: 2)));
    }

    [Fact]
    public async Task Sequences_must_follow_each_other()
    {
        IPartitionLog log = await host.OpenAsync();
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
        IPartitionLog log = await host.OpenAsync();
        await log.MustAppendAsync(Batches.Idempotent(1, 0, int.MaxValue - 1, count: 3));
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, (await log.AppendOneAsync(Batches.Idempotent(1, 0, 2))).Error);
        Assert.Equal(3, await log.MustAppendAsync(Batches.Idempotent(1, 0, 1)));
    }

    [Fact]
    public async Task A_producers_batches_of_one_call_are_judged_one_by_one()
    {
        IPartitionLog log = await host.OpenAsync();
        LogAppendResult[] results = await log.AppendAsync(
            [Batches.Idempotent(1, 0, 0), Batches.Idempotent(1, 0, 5), Batches.Idempotent(1, 0, 1)], 1);
        Assert.Equal([ErrorCode.None, ErrorCode.OutOfOrderSequenceNumber, ErrorCode.None], results.Select(result => result.Error));
        Assert.Equal(2, log.LogEndOffset);
    }

    [Fact]
    public async Task An_idle_producer_is_forgotten()
    {
        IPartitionLog log = await host.OpenAsync();
        await log.MustAppendAsync(Batches.Idempotent(1, 0, 0));
        host.Time.Advance(TimeSpan.FromHours(23));
        Assert.Equal(0, (await log.MaintainAsync()).ProducersExpired);
        host.Time.Advance(TimeSpan.FromHours(2));
        Assert.Equal(1, (await log.MaintainAsync()).ProducersExpired);
        Assert.Equal(1, await log.MustAppendAsync(Batches.Idempotent(1, 0, 77)));
    }
}

public sealed class MemoryLogConformanceTests() : LogConformanceTests(new FileLogHost(new MemoryFileSystem(), "/logs"));

public sealed class FileLogConformanceTests() : LogConformanceTests(Create())
{
    private static FileLogHost Create()
    {
        string directory = Directory.CreateTempSubdirectory("arus-log-").FullName;
        return new FileLogHost(PhysicalFileSystem.Instance, directory, () => Directory.Delete(directory, recursive: true));
    }
}

public sealed class RowLogConformanceTests() : LogConformanceTests(new RowLogHost());
