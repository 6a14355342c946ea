using Arus.Compression;
using Arus.Coordination.Replication;
using Arus.Storage;
using Arus.Testing;

namespace Arus.Grains.Tests;

/// <summary>What a leader answers about its log. What is expected was measured with Kafka 4.4.0.</summary>
public sealed class LeaderLogTests
{
    /// <remarks>
    /// A consumer asks for the epoch of its last record. An unknown end would look like lost records, and it would be reset.
    /// </remarks>
    [Fact]
    public async Task The_end_of_an_epoch_is_known_although_leaders_since_have_appended_nothing()
    {
        await using var logs = new MemoryLogs();
        IPartitionLog log = await logs.OpenAsync();
        await AppendAsync(log, leaderEpoch: 2);
        await AppendAsync(log, leaderEpoch: 5);
        LeaderLog leader = logs.Lead(log, leaderEpoch: 8);
        (int Asked, int Epoch, long End)[] expected =
        [
            (-2, -2, 0), (-1, -1, -1), (0, 0, 0), (2, 2, 1), (3, 2, 1), (5, 5, 2), (6, 5, 2), (7, 5, 2), (8, 8, 2), (9, -1, -1),
        ];
        Assert.Equal(expected, expected.Select(row =>
        {
            EpochEndResponse end = leader.GetEpochEnd(-1, row.Asked);
            return (row.Asked, end.LeaderEpoch, end.EndOffset);
        }));

        LeaderLog ofEmptyLog = logs.Lead(await logs.OpenAsync(partition: 1), leaderEpoch: 3);
        Assert.Equal(new EpochEndResponse(ErrorCode.None, 1, 0), ofEmptyLog.GetEpochEnd(-1, 1));
        Assert.Equal(new EpochEndResponse(ErrorCode.None, 3, 0), ofEmptyLog.GetEpochEnd(-1, 3));
    }

    [Fact]
    public async Task A_negative_epoch_other_than_minus_one_is_fenced()
    {
        await using var logs = new MemoryLogs();
        LeaderLog leader = logs.Lead(await logs.OpenAsync(), leaderEpoch: 3);
        foreach ((int epoch, ErrorCode error) in new[]
        {
            (-2, ErrorCode.FencedLeaderEpoch), (2, ErrorCode.FencedLeaderEpoch), (4, ErrorCode.UnknownLeaderEpoch), (-1, ErrorCode.None),
            (3, ErrorCode.None),
        })
        {
            Assert.Equal(error, leader.GetEpochEnd(epoch, 0).Error);
            Assert.Equal(error, (await leader.ListOffsetAsync(new ListOffsetRequest(-1, epoch, IsolationLevel.ReadUncommitted))).Error);
        }
    }

    [Fact]
    public async Task The_first_offset_comes_with_the_epoch_of_its_record()
    {
        await using var logs = new MemoryLogs();
        IPartitionLog log = await logs.OpenAsync();
        LeaderLog leader = logs.Lead(log, leaderEpoch: 8);
        Assert.Equal(8, (await FirstAsync()).LeaderEpoch);
        await AppendAsync(log, leaderEpoch: 2);
        await AppendAsync(log, leaderEpoch: 5);
        Assert.Equal(2, (await FirstAsync()).LeaderEpoch);
        await log.DeleteRecordsAsync(1);
        Assert.Equal((1, 5), ((await FirstAsync()).Offset, (await FirstAsync()).LeaderEpoch));
        await log.DeleteRecordsAsync(2);
        Assert.Equal((2, 8), ((await FirstAsync()).Offset, (await FirstAsync()).LeaderEpoch));

        Task<ListOffsetResponse> FirstAsync() =>
            leader.ListOffsetAsync(new ListOffsetRequest(ListOffsetRequest.Earliest, -1, IsolationLevel.ReadUncommitted));
    }

    [Fact]
    public async Task Acks_all_waits_for_the_high_watermark_and_acks_one_for_the_disk()
    {
        await using var logs = new MemoryLogs();
        IPartitionLog log = await logs.OpenReplicaAsync();
        (LeaderLog leader, _) = logs.Lead(log, View(inSync: 2));
        Assert.Equal(ErrorCode.None, Single(await leader.AppendAsync(Append(acks: 1))).Error);
        Task<PartitionAppendResult> all = leader.AppendAsync(Append(acks: -1, timeoutMs: 20_000));
        await Eventually.AsksAsync(
            () => Task.FromResult(log.DurableEndOffset), end => end == 2, _ => false, TestTimeout.Value);
        log.AdvanceHighWatermark(1);
        Assert.False(all.IsCompleted);
        log.AdvanceHighWatermark(2);
        Assert.Equal((ErrorCode.None, 1), (Single(await all).Error, Single(await all).BaseOffset));
    }

    [Fact]
    public async Task A_producers_retry_is_acknowledged_only_once_its_first_append_is_below_the_high_watermark()
    {
        await using var logs = new MemoryLogs();
        IPartitionLog log = await logs.OpenReplicaAsync();
        (LeaderLog leader, Leadership leadership) = logs.Lead(log, View(inSync: 2));
        var producer = new RecordBatchOptions { ProducerId = 7, ProducerEpoch = 0, BaseSequence = 0 };
        Assert.Equal(ErrorCode.RequestTimedOut, Single(await leader.AppendAsync(Append(acks: -1, timeoutMs: 0, producer))).Error);
        Assert.Equal(ErrorCode.RequestTimedOut, Single(await leader.AppendAsync(Append(acks: -1, timeoutMs: 0, producer))).Error);
        Assert.Equal(1, log.LogEndOffset);
        log.AdvanceHighWatermark(1);
        Assert.Equal((ErrorCode.None, 0), (Single(await leader.AppendAsync(Append(acks: -1, timeoutMs: 0, producer))).Error, 0));

        // Once the epoch is lost nothing is acknowledged, whatever the high watermark is by then.
        Task<PartitionAppendResult> waiting = leader.AppendAsync(Append(acks: -1, timeoutMs: 20_000));
        await Eventually.AsksAsync(
            () => Task.FromResult(log.DurableEndOffset), end => end == 2, _ => false, TestTimeout.Value);
        leadership.End();
        log.AdvanceHighWatermark(2);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, Single(await waiting).Error);
    }

    [Fact]
    public async Task A_marker_is_confirmed_once_it_is_below_the_high_watermark()
    {
        await using var logs = new MemoryLogs();
        IPartitionLog log = await logs.OpenReplicaAsync();
        (LeaderLog leader, Leadership leadership) = logs.Lead(log, View(inSync: 2));
        var marker = new TransactionMarker(7, 3, 1, IsCommit: true, TransactionVersion: 2);
        Task<ErrorCode> written = leader.WriteMarkerAsync(marker);
        await Eventually.AsksAsync(
            () => Task.FromResult(log.DurableEndOffset), end => end == 1, _ => false, TestTimeout.Value);
        Task<ErrorCode> again = leader.WriteMarkerAsync(marker);
        Assert.False(written.IsCompleted);
        Assert.Equal(ErrorCode.InvalidProducerEpoch, await leader.WriteMarkerAsync(marker with { ProducerEpoch = 2 }));
        log.AdvanceHighWatermark(1);
        Assert.Equal((ErrorCode.None, ErrorCode.None), (await written, await again));
        Assert.Equal(1, log.LogEndOffset);

        Task<ErrorCode> lost = leader.WriteMarkerAsync(marker with { ProducerEpoch = 4 });
        leadership.End();
        Assert.Equal(ErrorCode.NotLeaderOrFollower, await lost);
        leadership.Update(View(inSync: 1));
        Assert.Equal(ErrorCode.NotEnoughReplicas, await leader.WriteMarkerAsync(marker with { ProducerEpoch = 5 }));
    }

    [Fact]
    public async Task Batches_behind_one_that_is_verified_keep_their_order_and_others_go_on()
    {
        await using var logs = new MemoryLogs();
        IPartitionLog log = await logs.OpenAsync();
        var verdicts = new Queue<TaskCompletionSource<ErrorCode>>([new(), new()]);
        TaskCompletionSource<ErrorCode>[] asked = [.. verdicts];
        LeaderLog leader = logs.Lead(log, 3, (_, _, _) => verdicts.Dequeue().Task);
        Task<PartitionAppendResult> first = leader.AppendAsync(Transactional(0));
        Task<PartitionAppendResult> second = leader.AppendAsync(Transactional(1));
        Assert.Equal(0, Single(await leader.AppendAsync(Append(acks: 1))).BaseOffset);
        Assert.False(first.IsCompleted || second.IsCompleted);
        asked[0].SetResult(ErrorCode.None);
        Assert.Equal((1, 2), (Single(await first).BaseOffset, Single(await second).BaseOffset));
        Assert.Single(verdicts);
        Assert.Equal(1, log.LastStableOffset);

        Assert.Equal(ErrorCode.None, await leader.WriteMarkerAsync(new TransactionMarker(7, 0, 1, IsCommit: false, 1)));
        PartitionAppend next = Transactional(2);
        Task<PartitionAppendResult> mixed = leader.AppendAsync(next with { Entries = [next.Entries[0], Append(acks: 1).Entries[0]] });
        asked[1].SetResult(ErrorCode.InvalidProducerEpoch);
        Assert.Equal(
            [(ErrorCode.InvalidProducerEpoch, -1), (ErrorCode.None, 4)],
            (await mixed).Results.Select(result => (result.Error, result.BaseOffset)));

        PartitionReadResult read = await leader.FetchAsync(
            new PartitionRead(0, 3, 1 << 20, true, 0, IsolationLevel.ReadCommitted), CancellationToken.None);
        Assert.Equal((5, 5), (read.HighWatermark, read.LastStableOffset));
        Assert.Equal([new AbortedTransaction(7, 1)], read.Aborted!);
    }

    [Theory]
    [InlineData(TransactionSupport.Verified, ErrorCode.TransactionAbortable, ErrorCode.InvalidTxnState)]
    [InlineData(TransactionSupport.Abortable, ErrorCode.TransactionAbortable, ErrorCode.TransactionAbortable)]
    [InlineData(TransactionSupport.Abortable, ErrorCode.ConcurrentTransactions, ErrorCode.NotEnoughReplicas)]
    [InlineData(TransactionSupport.Added, ErrorCode.ProducerFenced, ErrorCode.InvalidProducerEpoch)]
    [InlineData(TransactionSupport.Added, ErrorCode.NotCoordinator, ErrorCode.NotEnoughReplicas)]
    [InlineData(TransactionSupport.Added, ErrorCode.None, ErrorCode.None)]
    public async Task A_coordinators_answer_becomes_one_that_the_producer_understands(
        TransactionSupport support, ErrorCode answer, ErrorCode expected)
    {
        var asked = new List<string>();
        ITransactionGrain coordinator = Fake.Of<ITransactionGrain>((method, arguments) =>
        {
            asked.Add($"{method.Name} {string.Join(' ', (TransactionPartition[])arguments[2]!)}");
            return Task.FromResult(answer);
        });
        IGrainFactory grains = Fake.Of<IGrainFactory>(
            (_, arguments) => Equals(arguments[0], "t") ? coordinator : throw new KeyNotFoundException());
        var verifier = new TransactionVerifier(grains, new InMemoryCluster().LocalBroker, new ManualTimeProvider());
        VerifyTransaction verify = verifier.For(new TopicPartition("topic", 4), Guid.Empty);
        Assert.Equal(expected, await verify(new AppendTransaction("t", support), 7, 0));
        string method = support == TransactionSupport.Added ? "AddPartitionsAsync" : "VerifyPartitionsAsync";
        Assert.Equal([$"{method} {new TransactionPartition("topic", 4, Guid.Empty)}"], asked);
    }

    [Fact]
    public async Task The_end_of_the_transaction_before_is_waited_for_a_moment()
    {
        var time = new ManualTimeProvider();
        int calls = 0;
        ITransactionGrain coordinator = Fake.Of<ITransactionGrain>(
            (_, _) => Task.FromResult(++calls == 3 ? ErrorCode.None : ErrorCode.ConcurrentTransactions));
        var verifier = new TransactionVerifier(Fake.Of<IGrainFactory>((_, _) => coordinator), new InMemoryCluster().LocalBroker, time);
        Task<ErrorCode> verified = verifier.For(new TopicPartition("topic", 0), Guid.Empty)(
            new AppendTransaction("t", TransactionSupport.Added), 7, 0);
        for (int wait = 0; wait < 2; wait++)
        {
            await time.WaitForArmedTimersAsync(1);
            time.Advance(TimeSpan.FromMilliseconds(20));
        }

        Assert.Equal(ErrorCode.None, await verified);
        calls = 10;
        verified = verifier.For(new TopicPartition("topic", 0), Guid.Empty)(
            new AppendTransaction("t", TransactionSupport.Added), 7, 0);
        for (int wait = 0; wait < 5; wait++)
        {
            await time.WaitForArmedTimersAsync(1);
            time.Advance(TimeSpan.FromMilliseconds(20));
        }

        Assert.Equal((ErrorCode.ConcurrentTransactions, 16), (await verified, calls));
    }

    [Fact]
    public async Task Too_few_replicas_in_sync_refuse_before_the_append_or_are_told_after_it()
    {
        await using var logs = new MemoryLogs();
        IPartitionLog log = await logs.OpenReplicaAsync();
        (LeaderLog leader, Leadership leadership) = logs.Lead(log, View(inSync: 1));
        Assert.Equal(ErrorCode.NotEnoughReplicas, Single(await leader.AppendAsync(Append(acks: -1))).Error);
        Assert.Equal(0, log.LogEndOffset);
        leadership.Update(View(inSync: 2));
        Task<PartitionAppendResult> waiting = leader.AppendAsync(Append(acks: -1, timeoutMs: 100));
        leadership.Update(View(inSync: 1));
        await Eventually.AsksAsync(
            () =>
            {
                logs.Time.Advance(TimeSpan.FromSeconds(1));
                return Task.FromResult(waiting.IsCompleted);
            }, done => done, _ => false, TestTimeout.Value);
        Assert.Equal(ErrorCode.NotEnoughReplicasAfterAppend, Single(await waiting).Error);
        Assert.Equal(ErrorCode.None, Single(await leader.AppendAsync(Append(acks: 1))).Error);
    }

    [Fact]
    public async Task The_latest_offset_is_told_once_everything_earlier_leaders_acknowledged_is_visible()
    {
        await using var logs = new MemoryLogs();
        IPartitionLog log = await logs.OpenReplicaAsync();
        await AppendAsync(log, leaderEpoch: 3);
        (LeaderLog leader, _) = logs.Lead(log, View(inSync: 2) with { EpochStart = 1 });
        Assert.Equal(ErrorCode.OffsetNotAvailable, (await ListAsync(ListOffsetRequest.Latest)).Error);
        Assert.Equal(ErrorCode.OffsetNotAvailable, (await ListAsync(0)).Error);
        Assert.Equal(0, (await ListAsync(ListOffsetRequest.Earliest)).Offset);
        log.AdvanceHighWatermark(1);
        Assert.Equal(1, (await ListAsync(ListOffsetRequest.Latest)).Offset);

        Task<ListOffsetResponse> ListAsync(long time) =>
            leader.ListOffsetAsync(new ListOffsetRequest(time, -1, IsolationLevel.ReadUncommitted));
    }

    [Fact]
    public async Task A_leader_that_may_have_been_replaced_reads_on_but_gives_no_verdict()
    {
        await using var logs = new MemoryLogs();
        IPartitionLog log = await logs.OpenReplicaAsync();
        await AppendAsync(log, leaderEpoch: 3);
        log.AdvanceHighWatermark(1);
        (LeaderLog leader, Leadership leadership) = logs.Lead(log, View(inSync: 2));
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await FetchAsync(5)).Error);
        leadership.Update(View(inSync: 2) with { GivesVerdicts = false });
        Assert.Equal(ErrorCode.NotLeaderOrFollower, (await FetchAsync(5)).Error);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, (await FetchAsync(0, lastEpoch: 9)).Error);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, leader.GetEpochEnd(-1, 3).Error);
        Assert.Equal(
            ErrorCode.NotLeaderOrFollower,
            (await leader.ListOffsetAsync(new ListOffsetRequest(-1, -1, IsolationLevel.ReadUncommitted))).Error);
        Assert.Equal((ErrorCode.None, 1), ((await FetchAsync(0)).Error, (await FetchAsync(0)).Records.Count));
        Assert.Equal(ErrorCode.None, await ProduceAsync(sequence: 0));
        Assert.Equal(ErrorCode.NotLeaderOrFollower, await ProduceAsync(sequence: 7));
        leadership.Update(View(inSync: 2));
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, await ProduceAsync(sequence: 7));

        async Task<ErrorCode> ProduceAsync(int sequence) => (await leader.AppendAsync(Append(
            acks: 1, options: new RecordBatchOptions { ProducerId = 5, ProducerEpoch = 0, BaseSequence = sequence }))).Results[0].Error;

        Task<PartitionReadResult> FetchAsync(long offset, int? lastEpoch = null) => leader.FetchAsync(
            new PartitionRead(offset, -1, 1 << 20, true, 0, IsolationLevel.ReadUncommitted, LastFetchedEpoch: lastEpoch),
            CancellationToken.None);
    }

    [Fact]
    public async Task Appends_wait_while_a_leadership_is_moved_and_go_on_if_it_stays()
    {
        await using var logs = new MemoryLogs();
        (_, Leadership leadership) = logs.Lead(await logs.OpenReplicaAsync(), View(inSync: 2) with { HoldsAppends = true });
        ValueTask<bool> stays = leadership.WaitUntilAppendableAsync(TestTimeout.Value);
        Assert.False(stays.IsCompleted);
        leadership.Update(View(inSync: 2));
        Assert.True(await stays);
        leadership.Update(View(inSync: 2) with { HoldsAppends = true });
        ValueTask<bool> moves = leadership.WaitUntilAppendableAsync(TestTimeout.Value);
        leadership.End();
        Assert.False(await moves);
    }

    private static ReplicaView View(int inSync) => new(
        new PartitionState("topic", new PartitionId(Guid.NewGuid(), 9), 1, 3, 1, [1, 2, 3], [], []), ReplicaRole.Leader,
        EpochStart: 0, inSync, HoldsAppends: false, GivesVerdicts: true, LeasesNeeded: []);

    private static PartitionAppend Append(short acks, int timeoutMs = 0, RecordBatchOptions? options = null)
    {
        using var builder = new RecordBatchBuilder();
        builder.Append(1_000, null, "value"u8.ToArray());
        return new PartitionAppend(acks, timeoutMs, [builder.Build(options ?? new RecordBatchOptions()).ToArray()]);
    }

    private static PartitionAppend Transactional(int sequence)
    {
        var options = new RecordBatchOptions { ProducerId = 7, ProducerEpoch = 0, BaseSequence = sequence, IsTransactional = true };
        return Append(acks: 1, options: options) with { Transaction = new AppendTransaction("t", TransactionSupport.Verified) };
    }

    private static AppendEntryResult Single(PartitionAppendResult result) => Assert.Single(result.Results);

    private static async Task AppendAsync(IPartitionLog log, int leaderEpoch)
    {
        using var builder = new RecordBatchBuilder();
        builder.Append(1_000, null, "value"u8.ToArray());
        LogAppendResult[] results = await log.AppendAsync([builder.Build(new RecordBatchOptions()).ToArray()], leaderEpoch);
        Assert.Equal(ErrorCode.None, results.Single().Error);
    }

    private sealed class MemoryLogs : IAsyncDisposable
    {
        private readonly LogThreads _threads = new(threads: 1);
        private readonly BrokerMetrics _metrics = new(TimeProvider.System);
        private readonly LogProvider _provider;

        public ManualTimeProvider Time { get; } = new();

        public MemoryLogs() => _provider = new LogProvider(
            new LogProviderOptions { Directory = "/memory", Time = Time, NewLogId = Guid.NewGuid },
            new MemoryFileSystem(), _threads);

        public ValueTask<IPartitionLog> OpenAsync(int partition = 0) => _provider.OpenAsync(
            new TopicPartition("topic", partition), Guid.Empty, TopicConfig.Resolve(new Dictionary<string, string>(), BrokerConfig.Of()));

        public ValueTask<IPartitionLog> OpenReplicaAsync() => _provider.OpenAsync(
            new TopicPartition("topic", 9), Guid.NewGuid(), TopicConfig.Resolve(
                new Dictionary<string, string> { ["min.insync.replicas"] = "2" }, BrokerConfig.Of()),
            replication: new LogReplication(() => { }));

        public (LeaderLog Leader, Leadership Leadership) Lead(IPartitionLog log, ReplicaView view)
        {
            var leadership = new Leadership(log, view, new LeaseTable(), () => 0);
            return (new LeaderLog(leadership, _metrics), leadership);
        }

        public LeaderLog Lead(IPartitionLog log, int leaderEpoch, VerifyTransaction? verify = null) =>
            new(log, leaderEpoch, inSyncReplicas: 1, _metrics, verify: verify);

        public async ValueTask DisposeAsync()
        {
            await _provider.DisposeAsync();
            await _threads.DisposeAsync();
            _metrics.Dispose();
        }
    }
}
