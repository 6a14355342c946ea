namespace Arus.Storage.Tests.Conformance;

/// <content>Transactions: who may write in them, who reads what, and what is left of them.</content>
public abstract partial class LogConformanceTests
{
    [Fact]
    public async Task Committed_readers_stop_at_the_first_open_transaction_and_go_on_when_it_ends()
    {
        IPartitionLog log = await host.OpenAsync();
        await log.MustAppendAsync(Batches.Of("before"));
        Assert.Equal(1, await log.WriteAsync(7, 0, "a", "b"));
        Assert.Equal(3, await log.WriteAsync(8, 0, "c"));
        await log.MustAppendAsync(Batches.Of("after"));
        Assert.Equal((1, 5), (log.LastStableOffset, log.HighWatermark));
        Assert.Equal(["before"], await log.ReadCommittedAsync());
        LogReadResult beyond = await log.ReadAsync(3, 100, true, LogReadLimit.LastStable);
        Assert.Equal((ErrorCode.None, 0, 1L), (beyond.Error, beyond.Records.Length, beyond.LastStableOffset));
        ValueTask<bool> wait = log.WaitForAsync(2, Timeout.InfiniteTimeSpan, upTo: LogReadLimit.LastStable);
        Assert.False(wait.IsCompleted);

        log = await ReopenOnceAsync(log, wait);
        Assert.Equal(1, log.LastStableOffset);
        wait = log.WaitForAsync(2, Timeout.InfiniteTimeSpan, upTo: LogReadLimit.LastStable);
        Assert.Equal(5, await log.EndAsync(8, 0, commit: true));
        Assert.Equal(1, log.LastStableOffset);
        Assert.False(wait.IsCompleted);
        Assert.Equal(6, await log.EndAsync(7, 0, commit: true));
        Assert.True(await wait);
        Assert.Equal(7, log.LastStableOffset);
        Assert.Equal(["before", "a", "b", "c", "after"], await log.ReadCommittedAsync());
        Assert.Equal([(8L, -1L, 0), (7L, -1L, 0)], (await log.DescribeProducersAsync()).Select(
            one => (one.ProducerId, one.TransactionFirstOffset, one.CoordinatorEpoch)));

        async Task<IPartitionLog> ReopenOnceAsync(IPartitionLog open, ValueTask<bool> ended)
        {
            await open.DisposeAsync();
            Assert.False(await ended);
            return await host.ReopenAsync();
        }
    }

    [Fact]
    public async Task Aborted_transactions_are_told_to_readers_before_and_after_a_restart()
    {
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"));
        IPartitionLog log = await host.OpenAsync(config);
        await log.WriteAsync(1, 0, "committed 1");
        await log.WriteAsync(2, 0, "aborted 2");
        await log.EndAsync(1, 0, commit: true);
        for (int i = 0; i < 30; i++)
            await log.MustAppendAsync(Batches.Of($"plain {i}"));

        await log.WriteAsync(3, 0, "aborted 3");
        await log.EndAsync(2, 0, commit: false);
        await log.WriteAsync(2, 0, "committed 2");
        await log.EndAsync(3, 0, commit: false);
        await log.EndAsync(2, 0, commit: true);
        string[] expected = ["committed 1", .. Enumerable.Range(0, 30).Select(i => $"plain {i}"), "committed 2"];
        for (int round = 0; round < 2; round++)
        {
            Assert.Equal(log.HighWatermark, log.LastStableOffset);
            Assert.Equal(expected, await log.ReadCommittedAsync());
            Assert.Equal(expected[^1..], await log.ReadCommittedAsync(33));
            Assert.Equal(
                [new LogAbortedTransaction(2, 1, 34, 33), new LogAbortedTransaction(3, 33, 36, 35)], await log.FindAbortedAsync(0, 100));
            Assert.Equal([2L], (await log.FindAbortedAsync(0, 33)).Select(aborted => aborted.ProducerId));
            Assert.Equal([3L], (await log.FindAbortedAsync(35, 36)).Select(aborted => aborted.ProducerId));
            Assert.Empty(await log.FindAbortedAsync(37, 100));
            log = await host.ReopenAsync(config);
        }
    }

    [Fact]
    public async Task Transactional_batches_need_a_guard_that_is_void_once_the_transaction_has_ended()
    {
        IPartitionLog log = await host.OpenAsync(leaderEpoch: 1);
        ReadOnlyMemory<byte> first = Batches.Transactional(7, 0, 0, "a");
        Assert.Equal(ErrorCode.InvalidTxnState, (await log.AppendOneAsync(first)).Error);
        VerificationGuard? early = await log.BeginVerificationAsync(7, 0, 0, beginsAtZero: false);
        Assert.NotNull(early);
        await log.EndAsync(7, 0, commit: false);
        Assert.Equal(ErrorCode.InvalidTxnState, (await log.AppendAsync([first], 1, guard: early))[0].Error);

        VerificationGuard? guard = await log.BeginVerificationAsync(7, 0, 0, beginsAtZero: false);
        Assert.NotSame(early, guard);
        Assert.Equal(1, (await log.AppendAsync([first], 1, guard: guard))[0].BaseOffset);
        Assert.Null(await log.BeginVerificationAsync(7, 0, 1, beginsAtZero: false));
        Assert.Equal(2, await log.MustAppendAsync(Batches.Transactional(7, 0, 1, "b")));
        Assert.Equal(2, (await log.AppendOneAsync(Batches.Transactional(7, 0, 1, "b"))).BaseOffset);
        Assert.Equal(ErrorCode.InvalidTxnState, (await log.AppendOneAsync(Batches.Idempotent(7, 0, 2))).Error);
        await log.EndAsync(7, 0, commit: true);
        Assert.Equal(ErrorCode.InvalidTxnState, (await log.AppendOneAsync(Batches.Transactional(7, 0, 2, "c"))).Error);
        Assert.Equal(4, await log.MustAppendAsync(Batches.Idempotent(7, 0, 2)));
    }

    [Fact]
    public async Task With_an_epoch_for_each_transaction_the_marker_of_the_one_before_leaves_the_guard_alone()
    {
        IPartitionLog log = await host.OpenAsync(leaderEpoch: 1);
        VerificationGuard? first = await log.BeginVerificationAsync(7, 0, 0, beginsAtZero: true);
        await log.AppendAsync([Batches.Transactional(7, 0, 0, "a")], 1, guard: first);
        VerificationGuard? next = await log.BeginVerificationAsync(7, 1, 0, beginsAtZero: true);
        await log.EndAsync(7, 1, commit: true);
        Assert.Equal(ErrorCode.None, (await log.AppendAsync([Batches.Transactional(7, 1, 0, "b")], 1, guard: next))[0].Error);

        VerificationGuard? late = await log.BeginVerificationAsync(7, 2, 0, beginsAtZero: true);
        await log.EndAsync(7, 3, commit: false);
        Assert.Equal(
            ErrorCode.InvalidProducerEpoch, (await log.AppendAsync([Batches.Transactional(7, 2, 0, "c")], 1, guard: late))[0].Error);
    }

    [Fact]
    public async Task A_batch_that_overtook_the_first_of_its_transaction_is_refused()
    {
        IPartitionLog log = await host.OpenAsync(leaderEpoch: 1);
        Assert.NotNull(await log.BeginVerificationAsync(7, 0, 0, beginsAtZero: false));
        VerificationGuard? guard = await log.BeginVerificationAsync(7, 0, 1, beginsAtZero: false);
        LogAppendResult overtaking = (await log.AppendAsync([Batches.Transactional(7, 0, 1, "b")], 1, guard: guard))[0];
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, overtaking.Error);
        Assert.Equal(ErrorCode.None, (await log.AppendAsync([Batches.Transactional(7, 0, 0, "a")], 1, guard: guard))[0].Error);
        guard = await log.BeginVerificationAsync(8, 0, 5, beginsAtZero: true);
        LogAppendResult behind = (await log.AppendAsync([Batches.Transactional(8, 0, 5, "x")], 1, guard: guard))[0];
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, behind.Error);
    }

    [Fact]
    public async Task Markers_of_earlier_epochs_are_refused_and_repeated_ones_end_nothing()
    {
        IPartitionLog log = await host.OpenAsync(leaderEpoch: 1);
        await log.WriteAsync(7, 3, "a");
        Assert.Equal(ErrorCode.InvalidProducerEpoch, await EndAsync(new LogMarker(7, 2, 5, true, 1)));
        Assert.Equal(ErrorCode.None, await EndAsync(new LogMarker(7, 4, 5, true, 2)));
        Assert.Equal((2, 2), (log.LogEndOffset, log.LastStableOffset));
        Assert.Equal(ErrorCode.InvalidProducerEpoch, (await log.AppendOneAsync(Batches.Transactional(7, 3, 1, "late"))).Error);
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, (await log.AppendTransactionalAsync(Batches.Transactional(7, 4, 1, "b"))).Error);
        await log.WriteAsync(7, 4, "b");

        Assert.Equal(ErrorCode.None, await EndAsync(new LogMarker(7, 4, 5, true, 2)));
        Assert.Equal((3, 2), (log.LogEndOffset, log.LastStableOffset));
        Assert.Equal(ErrorCode.TransactionCoordinatorFenced, await EndAsync(new LogMarker(7, 5, 4, false, 2)));
        Assert.Equal(ErrorCode.None, await EndAsync(new LogMarker(7, 5, 6, false, 2)));
        Assert.Equal((4, 4), (log.LogEndOffset, log.LastStableOffset));
        Assert.Equal(["a"], await log.ReadCommittedAsync());

        async Task<ErrorCode> EndAsync(LogMarker marker) => (await log.EndTransactionAsync(marker, 1)).Error;
    }

    [Fact]
    public async Task A_truncation_takes_transactions_back()
    {
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"));
        IPartitionLog log = await host.OpenAsync(config);
        await log.WriteAsync(1, 0, "a");
        await log.EndAsync(1, 0, commit: false);
        await log.WriteAsync(2, 0, "b");
        await log.WriteAsync(3, 0, "c");
        await log.EndAsync(2, 0, commit: false);
        await log.EndAsync(3, 0, commit: true);
        Assert.Equal(6, log.LastStableOffset);
        await log.TruncateToAsync(4);
        for (int round = 0; round < 2; round++)
        {
            Assert.Equal((2, 4), (log.LastStableOffset, log.HighWatermark));
            Assert.Equal([1L], (await log.FindAbortedAsync(0, 100)).Select(aborted => aborted.ProducerId));
            log = await host.ReopenAsync(config);
        }

        await log.EndAsync(2, 0, commit: true);
        await log.EndAsync(3, 0, commit: false);
        Assert.Equal(["b"], await log.ReadCommittedAsync());
    }

    [Fact]
    public async Task An_open_transaction_outlives_idle_producers_and_the_deletion_of_its_records()
    {
        TopicConfig config = LogExtensions.Config() with { ProducerIdExpirationMs = 1000 };
        IPartitionLog log = await host.OpenAsync(config, leaderEpoch: 1);
        await log.WriteAsync(1, 0, "a");
        await log.WriteAsync(2, 0, "b");
        await log.EndAsync(2, 0, commit: true);
        host.Time.Advance(TimeSpan.FromHours(1));
        await log.MaintainAsync();
        Assert.Equal([1L], (await log.DescribeProducersAsync()).Select(one => one.ProducerId));
        Assert.Equal(0, log.LastStableOffset);
        await log.DeleteRecordsAsync(2);
        Assert.Equal((2, 2), (log.LogStartOffset, log.LastStableOffset));
        await log.EndAsync(1, 0, commit: false);
        Assert.Equal(4, log.LastStableOffset);
    }

    [Fact]
    public async Task Compaction_removes_aborted_records_and_keeps_markers_until_nothing_needs_them()
    {
        TopicConfig config = Compacted(("delete.retention.ms", "60000"));
        IPartitionLog log = await host.OpenAsync(config);
        await log.MustAppendAsync(Batches.Keyed(("k", "kept, since what superseded it was aborted")));
        await log.WriteAsync(1, 0, "k");
        await log.EndAsync(1, 0, commit: false);
        await log.WriteAsync(2, 0, "old");
        await log.EndAsync(2, 0, commit: true);
        await log.WriteAsync(2, 0, "old");
        await log.EndAsync(2, 0, commit: true);
        await log.WriteAsync(1, 0, "last of 1");
        await log.EndAsync(1, 0, commit: true);
        await SealAndCompactAsync();
        Assert.Equal(["kept, since what superseded it was aborted", "old", "last of 1"], (await ReadAsync()).Take(3));
        Assert.Equal([2L, 4, 6, 8], await MarkersAsync());

        // The batches of the first two are gone now; so the next pass gives their markers a horizon, and one behind it takes them.
        await SealAndCompactAsync();
        Assert.Equal([2L, 4, 6, 8], await MarkersAsync());
        Assert.Empty(await log.FindAbortedAsync(0, 100));
        host.Time.Advance(TimeSpan.FromMinutes(2));
        await SealAndCompactAsync();
        Assert.Equal([6L, 8], await MarkersAsync());
        log = await host.ReopenAsync(config);
        Assert.Equal(["kept, since what superseded it was aborted", "old", "last of 1"], (await ReadAsync()).Take(3));
        Assert.Equal(log.HighWatermark, log.LastStableOffset);

        async Task SealAndCompactAsync()
        {
            await host.SealAsync(log);
            await host.SealAsync(log);
            await log.MaintainAsync();
        }

        async Task<List<string?>> ReadAsync() =>
            [.. (await log.ReadCommittedAsync()).Where(value => !value!.StartsWith("ff", StringComparison.Ordinal))];

        async Task<List<long>> MarkersAsync()
        {
            var markers = new List<long>();
            for (long next = log.LogStartOffset; next < log.HighWatermark;)
            {
                LogReadResult read = await log.ReadAsync(next, 1 << 20, true);
                foreach (ReadOnlyMemory<byte> batch in read.Records.SelectMany(BatchSlicing.Split))
                {
                    var header = new RecordBatchHeader(batch.Span);
                    next = header.NextOffset;
                    if (header.IsControl)
                        markers.Add(header.BaseOffset);
                }
            }

            return markers;
        }
    }

    [Fact]
    public async Task Compaction_leaves_alone_what_is_not_decided()
    {
        IPartitionLog log = await host.OpenAsync(Compacted());
        await log.WriteAsync(1, 0, "k");
        await log.WriteAsync(1, 0, "k");
        await host.SealAsync(log);
        await host.SealAsync(log);
        await log.MaintainAsync();
        Assert.Equal(["k", "k"], (await log.ReadValuesAsync()).Take(2));
        await log.EndAsync(1, 0, commit: true);
        await host.SealAsync(log);
        await host.SealAsync(log);
        await log.MaintainAsync();
        Assert.Equal("k", Assert.Single(await log.ReadCommittedAsync(), value => value == "k"));
    }
}
