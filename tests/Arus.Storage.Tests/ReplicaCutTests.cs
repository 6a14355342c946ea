using Arus.Testing;

namespace Arus.Storage.Tests;

/// <summary>Fencing and cutting a replica's log, with crashes at every step.</summary>
public sealed class ReplicaCutTests
{
    private static readonly TopicConfig Config = LogExtensions.Config(("internal.segment.bytes", "1024"), ("file.delete.delay.ms", "0"));

    private readonly Machine _machine = new();

    [Fact]
    public async Task A_cut_takes_epochs_and_producers_back()
    {
        IPartitionLog log = await FilledAsync(_machine, 60);
        await _machine.PrepareAsync(log, 10, truncateTo: 25);
        Assert.Equal((25, 25, 10), (log.LogEndOffset, log.DurableEndOffset, log.FencedEpoch));
        Assert.Equal(EpochOf(24), log.LatestEpoch);
        LogProducer[] producers = await _machine.Scheduler.RunAsync(log.DescribeProducersAsync());
        Assert.Equal(24, Assert.Single(producers).LastSequence);

        // The sequence goes on from there, as the new leader has it.
        byte[] sent = Batches.Idempotent(1, 0, 25).ToArray();
        BatchStamp.Write(sent, 25, 10, null);
        await _machine.MustAppendAsync(log, 10, sent, AppendOrigin.Replica);
        Assert.Equal(25, Assert.Single(await _machine.Scheduler.RunAsync(log.DescribeProducersAsync())).LastSequence);
        Assert.Equal([.. Epochs(24), new LogEpochStart(10, 25)], log.Epochs.ToArray());
    }

    [Theory]
    [InlineData(500)]
    [InlineData(10)]
    [InlineData(0)]
    public async Task A_log_that_is_restarted_is_empty(long at)
    {
        IPartitionLog log = await FilledAsync(_machine, 60);
        await _machine.PrepareAsync(log, 10, restartAt: at, renewLogId: true);
        await Check();
        byte[] sent = Batches.Idempotent(1, 0, 7).ToArray();
        BatchStamp.Write(sent, at + 2, 9, null);
        await _machine.MustAppendAsync(log, 10, sent, AppendOrigin.Replica);
        await _machine.RestartAsync(log);
        log = await _machine.OpenReplicaAsync(Config);
        Assert.Equal((at, at + 3), (log.LogStartOffset, log.DurableEndOffset));
        Assert.Equal([(at + 2, (string?)"1/0/7")], await _machine.ReadAllAsync(log));

        async Task Check()
        {
            Assert.Equal((at, at, at, at), (log.LogStartOffset, log.HighWatermark, log.DurableEndOffset, log.LogEndOffset));
            Assert.Empty(log.Epochs);
            Assert.Empty(await _machine.Scheduler.RunAsync(log.DescribeProducersAsync()));
            Assert.Empty(await _machine.ReadAllAsync(log));
        }
    }

    [Fact]
    public async Task The_same_replica_keeps_what_lies_before_its_high_watermark()
    {
        IPartitionLog log = await FilledAsync(_machine, 60);
        log.AdvanceHighWatermark(40);
        foreach ((long truncateTo, long restartAt) in new[] { (39L, -1L), (-1L, 39L) })
        {
            LogException refused = await Assert.ThrowsAsync<LogException>(() => _machine.PrepareAsync(log, 10, truncateTo, restartAt));
            Assert.Equal(ErrorCode.InvalidRequest, refused.Error);
            Assert.Equal((-1, 60), (log.FencedEpoch, log.LogEndOffset));
        }

        Guid id = log.LogId;
        await _machine.PrepareAsync(log, 10, truncateTo: 39, renewLogId: true);
        Assert.NotEqual(id, log.LogId);
        Assert.Equal((39, 39), (log.HighWatermark, log.LogEndOffset));
    }

    [Fact]
    public async Task What_is_prepared_twice_is_written_once()
    {
        IPartitionLog log = await FilledAsync(_machine, 10);
        await _machine.PrepareAsync(log, 10);
        int flushes = _machine.Disk.Flushes;
        await _machine.PrepareAsync(log, 10, truncateTo: 10);
        Assert.Equal(flushes, _machine.Disk.Flushes);
    }

    /// <summary>
    /// Whatever change is the last one before the process dies or the power goes: the log is as it was, or fenced and cut as asked, and
    /// what is appended afterwards is not cut by completing the cut again.
    /// </summary>
    [Fact]
    public async Task A_crash_at_any_step_leaves_the_log_as_it_was_or_cut()
    {
        foreach (int seed in Seeds.Take(12, 953141439))
        {
            int steps = 0;
            while (await CrashAfterAsync(new Random(seed), steps, $"seed {seed}, crash after {steps} changes"))
                steps++;

            Assert.InRange(steps, 5, 200);
        }
    }

    /// <summary>
    /// A log that was restarted may begin with a batch from before its start. If a crash takes that away, the log ends before its start;
    /// whatever it begins at then, it must begin at later, or it would hide what is appended up to the start of before.
    /// </summary>
    [Fact]
    public async Task What_is_appended_to_a_log_that_ended_before_its_start_stays()
    {
        int steps = 0;
        for (bool interrupted = true; interrupted; steps++)
        {
            var machine = new Machine();
            IPartitionLog log = await machine.OpenReplicaAsync(Config);
            await machine.PrepareAsync(log, 1, restartAt: 4, renewLogId: true);
            byte[] sent = Batches.Of("a", "b", "c").ToArray();
            BatchStamp.Write(sent, 2, 1, null);
            machine.Disk.ChangesLeft = steps;
            interrupted = await Record.ExceptionAsync(() => machine.MustAppendAsync(log, 1, sent, AppendOrigin.Replica)) is not null;
            machine.Crash(new Random(steps));

            log = await machine.OpenReplicaAsync(Config);
            await machine.PrepareAsync(log, 2);
            (long start, long end) = (log.LogStartOffset, log.LogEndOffset);
            for (int i = 0; i < 5; i++)
                await machine.MustAppendAsync(log, 2, Batches.Of($"{i}"));

            machine.Kill();
            log = await machine.OpenReplicaAsync(Config);
            List<(long Offset, string? Value)> records = await machine.ReadAllAsync(log);
            Assert.Equal(start, log.LogStartOffset);
            Assert.Equal([.. Enumerable.Range(0, 5).Select(i => (end + i, (string?)$"{i}"))], records.TakeLast(5));
        }

        Assert.InRange(steps, 3, 50);
    }

    /// <returns>Whether the cut was interrupted.</returns>
    private static async Task<bool> CrashAfterAsync(Random random, int steps, string hint)
    {
        var machine = new Machine();
        IPartitionLog log = await FilledAsync(machine, 60);
        long highWatermark = random.Next(50);
        log.AdvanceHighWatermark(highWatermark);
        long cut = random.Next((int)highWatermark, 60);
        (bool restarts, bool renews, bool powerFails) = (random.Next(3) == 0, random.Next(3) == 0, random.Next(2) == 0);
        Guid id = log.LogId;
        machine.Disk.ChangesLeft = steps;
        Task prepared = machine.PrepareAsync(log, 10, restarts ? -1 : cut, restarts ? cut : -1, renews);
        bool interrupted = await Record.ExceptionAsync(() => prepared) is not null;
        if (powerFails)
            machine.Crash(random);
        else
            machine.Kill();

        log = await machine.OpenReplicaAsync(Config);
        bool fenced = log.FencedEpoch == 10;
        Assert.True(fenced || interrupted, hint);
        Assert.True(fenced && renews ? log.LogId != id : log.LogId == id, hint);
        Assert.Equal(fenced && restarts ? cut : 0, log.LogStartOffset);
        Assert.Equal(fenced ? cut : 60, log.DurableEndOffset);
        Assert.Equal(fenced && restarts ? [] : Numbers((int)log.DurableEndOffset), await machine.ReadAllAsync(log));
        Assert.True(log.HighWatermark <= Math.Max(highWatermark, log.LogStartOffset), hint);
        Assert.Equal(fenced && restarts ? [] : Epochs((int)log.DurableEndOffset - 1), log.Epochs.ToArray());
        LogProducer[] producers = await machine.Scheduler.RunAsync(log.DescribeProducersAsync());
        Assert.Equal(fenced && (restarts || cut == 0) ? -1 : log.DurableEndOffset - 1, producers is [var one] ? one.LastSequence : -1);

        long end = log.DurableEndOffset;
        await machine.MustAppendAsync(log, 10, Batches.Of("new"));
        machine.Crash(random);
        log = await machine.OpenReplicaAsync(Config);
        List<(long Offset, string? Value)> records = await machine.ReadAllAsync(log);
        Assert.True(records is [.., (var offset, "new")] && offset == end, hint);
        Assert.DoesNotContain(machine.Events, entry => entry.Kind is LogEventKind.TailMissing or LogEventKind.RecordsMissing);
        return interrupted;
    }

    /// <summary>Records of one idempotent producer, ten in each epoch.</summary>
    private static async Task<IPartitionLog> FilledAsync(Machine machine, int count)
    {
        IPartitionLog log = await machine.OpenReplicaAsync(Config);
        for (int i = 0; i < count; i++)
            await machine.MustAppendAsync(log, EpochOf(i), Batches.Idempotent(1, 0, i));

        return log;
    }

    private static int EpochOf(int offset) => 1 + (offset / 10);

    private static LogEpochStart[] Epochs(int lastOffset) =>
        lastOffset < 0 ? [] : [.. Enumerable.Range(0, EpochOf(lastOffset)).Select(i => new LogEpochStart(i + 1, i * 10))];

    private static List<(long Offset, string? Value)> Numbers(int count) =>
        [.. Enumerable.Range(0, count).Select(i => ((long)i, (string?)$"1/0/{i}"))];
}
