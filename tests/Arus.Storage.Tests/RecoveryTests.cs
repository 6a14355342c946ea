using System.Buffers;
using System.Globalization;
using Arus.Testing;

namespace Arus.Storage.Tests;

public sealed class RecoveryTests
{
    private static string FirstLog(Machine machine) => Path.Combine(machine.Directory, "00000000000000000000.log");

    private static string LastLog(Machine machine) =>
        machine.Disk.ListFiles(machine.Directory).Where(name => name.EndsWith(".log", StringComparison.Ordinal)).Max()!;

    private static async Task<IPartitionLog> FilledAsync(Machine machine, int count, TopicConfig? config = null)
    {
        IPartitionLog log = await machine.OpenAsync(config);
        for (int i = 0; i < count; i++)
            await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Of($"{i}")], 1));

        return log;
    }

    private static async Task<List<string?>> ValuesAsync(Machine machine, IPartitionLog log, long? offset = null)
    {
        LogReadResult read = await machine.Scheduler.RunAsync(log.ReadAsync(offset ?? log.LogStartOffset, 1 << 20, true));
        return [.. Batches.Records(read.Records).Select(record => record.Value)];
    }

    [Theory]
    [InlineData(1)]
    [InlineData(11)]
    [InlineData(60)]
    [InlineData(68)]
    public async Task A_torn_tail_is_cut_and_reported(int bytesLeft)
    {
        var machine = new Machine();
        await FilledAsync(machine, 3);
        byte[] content = machine.Disk.Content(FirstLog(machine));
        int batch = content.Length / 3;
        machine.Kill();
        machine.Disk.Replace(FirstLog(machine), content[..((2 * batch) + bytesLeft)]);

        IPartitionLog log = await machine.OpenAsync();
        Assert.Equal(2, log.LogEndOffset);
        Assert.Equal(["0", "1"], await ValuesAsync(machine, log));
        LogEvent cut = Assert.Single(machine.Events);
        Assert.Equal((LogEventKind.TailTruncated, FirstLog(machine), 2L, (long)bytesLeft), (cut.Kind, cut.File, cut.FromOffset, cut.Bytes));
        await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Of("again")], 1));
        Assert.Equal(["0", "1", "again"], await ValuesAsync(machine, log));
    }

    [Fact]
    public async Task A_tail_that_is_whole_and_whose_crc_does_not_match_is_set_aside()
    {
        var machine = new Machine();
        await FilledAsync(machine, 3);
        int length = machine.Disk.Content(FirstLog(machine)).Length;
        machine.Kill();
        machine.Disk.Damage(FirstLog(machine), length - 1, [0xEE]);
        IPartitionLog log = await machine.OpenAsync();
        Assert.Equal(["0", "1"], await ValuesAsync(machine, log));
        Assert.Equal((LogEventKind.Damaged, 2L), (Assert.Single(machine.Events).Kind, machine.Events[0].FromOffset));
        Assert.Equal(length / 3, machine.Disk.Content(Path.Combine(machine.Directory, "00000000000000000002.damaged")).Length);
    }

    [Fact]
    public async Task An_epoch_whose_records_a_crash_took_is_forgotten()
    {
        var machine = new Machine(new LogProviderOptions { Directory = "/logs", Flush = FlushPolicy.Os });
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"));
        int fits = 1024 / Batches.Of("x").Length;
        IPartitionLog log = await machine.OpenAsync(config);
        for (int i = 0; i < fits; i++)
            await machine.MustAppendAsync(log, 1, Batches.Of("x"));

        // The first batch of its epoch rolls the segment, and the checkpoint of the full one knows the epoch.
        await machine.MustAppendAsync(log, 5, Batches.Of("x"));
        Assert.Equal(2, log.SegmentCount);
        machine.Kill();
        machine.Disk.Replace(Path.Combine(machine.Directory, LastLog(machine)), []);
        log = await machine.OpenAsync(config);
        Assert.Equal((fits, 1), (log.LogEndOffset, log.LatestEpoch));
        await machine.MustAppendAsync(log, 6, Batches.Of("x"));
        machine.Kill();
        log = await machine.OpenAsync(config);
        Assert.Equal([new LogEpochStart(1, 0), new LogEpochStart(6, fits)], log.Epochs.ToArray());
    }

    [Theory]
    [InlineData("00000000000000000000.index")]
    [InlineData("log.checkpoint")]
    public async Task A_damaged_or_missing_small_file_is_made_anew(string name)
    {
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"));
        foreach (bool missing in new[] { false, true })
        {
            var machine = new Machine();
            await machine.RestartAsync(await FilledAsync(machine, 40, config));
            string path = Path.Combine(machine.Directory, name);
            if (missing)
                machine.Disk.DeleteFile(path);
            else
                machine.Disk.Damage(path, 12, [0xEE]);

            IPartitionLog log = await machine.OpenAsync(config);
            Assert.Equal((40, 1), (log.LogEndOffset, log.LatestEpoch));
            Assert.Contains(machine.Events, entry => entry.Kind == LogEventKind.Rebuilt && entry.File == path);
            for (int i = 0; i < 40; i++)
            {
                LogReadResult read = await machine.Scheduler.RunAsync(log.ReadAsync(i, 1, true));
                Assert.Equal($"{i}", Batches.Records(read.Records).Single().Value);
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_synced_tail_that_vanished_is_reported_once_and_the_log_goes_on(bool wholeSegments)
    {
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"));
        var machine = new Machine();
        await machine.RestartAsync(await FilledAsync(machine, 40, config));
        string last = LastLog(machine);
        string path = Path.Combine(machine.Directory, last);
        byte[] content = machine.Disk.Content(path);
        int batch = new RecordBatchHeader(content).SizeInBytes;
        long found = long.Parse(last[..20], CultureInfo.InvariantCulture) + (wholeSegments ? 0 : 1);
        if (wholeSegments)
            machine.Disk.DeleteFile(path);
        else
            machine.Disk.Replace(path, content[..batch]);

        IPartitionLog log = await machine.OpenAsync(config);
        Assert.Equal(found, log.LogEndOffset);
        LogEvent lost = Assert.Single(machine.Events, entry => entry.Kind == LogEventKind.TailMissing);
        Assert.Equal((Machine.Partition, machine.Directory, found), (lost.Partition, lost.File, lost.FromOffset));
        Assert.Contains($"offset {found}", lost.Message, StringComparison.Ordinal);
        Assert.Contains("up to 40 ", lost.Message, StringComparison.Ordinal);

        // A torn tail in what is written now lies before the old recovery point, and is cut as any other.
        await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Of("again")], 2));
        machine.Kill();
        path = Path.Combine(machine.Directory, LastLog(machine));
        machine.Disk.Replace(path, [.. machine.Disk.Content(path), 1, 2, 3]);
        log = await machine.OpenAsync(config);
        Assert.Equal(found + 1, log.LogEndOffset);
        Assert.Single(machine.Events, entry => entry.Kind == LogEventKind.TailMissing);
        Assert.Equal(LogEventKind.TailTruncated, machine.Events[^1].Kind);
    }

    [Fact]
    public async Task A_log_of_which_only_the_checkpoint_is_left_is_reported()
    {
        var machine = new Machine();
        await machine.RestartAsync(await FilledAsync(machine, 3));
        machine.Disk.DeleteFile(FirstLog(machine));
        IPartitionLog log = await machine.OpenAsync();
        Assert.Equal((3, 3), (log.LogStartOffset, log.LogEndOffset));
        Assert.Equal((LogEventKind.TailMissing, 0L), (Assert.Single(machine.Events).Kind, machine.Events[0].FromOffset));
    }

    [Fact]
    public async Task Damage_in_what_was_synced_before_the_checkpoint_is_set_aside_and_the_rest_served()
    {
        var machine = new Machine();
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"));
        await machine.RestartAsync(await FilledAsync(machine, 40, config));
        machine.Disk.Damage(FirstLog(machine), 100, [0xEE]);
        machine.Disk.DeleteFile(Path.Combine(machine.Directory, "00000000000000000000.index"));
        IPartitionLog log = await machine.OpenAsync(config);
        LogEvent damaged = Assert.Single(machine.Events, entry => entry.Kind == LogEventKind.Damaged);
        Assert.Equal((FirstLog(machine), 1L), (damaged.File, damaged.FromOffset));
        Assert.Equal((0, 40), (log.LogStartOffset, log.LogEndOffset));
        Assert.Equal(["0", "2"], (await ValuesAsync(machine, log))[..1].Concat(await ValuesAsync(machine, log, 1)).Take(2));
    }

    [Fact]
    public async Task An_io_error_acknowledges_nothing_and_closes_the_log()
    {
        var machine = new Machine();
        IPartitionLog log = await FilledAsync(machine, 1);
        machine.Disk.FailIo = path => path.EndsWith(".log", StringComparison.Ordinal);
        ValueTask<bool> wait = log.WaitForAsync(1, TimeSpan.FromMinutes(1));
        LogAppendResult[] results = await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Of("a"), Batches.Of("b")], 1));
        Assert.All(results, result => Assert.Equal((ErrorCode.KafkaStorageError, -1L), (result.Error, result.BaseOffset)));
        Assert.False(await wait);
        Assert.IsType<IOException>(log.Failure);
        Assert.Equal(1, log.HighWatermark);
        Assert.Equal(ErrorCode.KafkaStorageError, (await log.AppendOneAsync(Batches.Of("c"))).Error);
        Assert.Equal(LogEventKind.Failed, Assert.Single(machine.Events).Kind);

        machine.Disk.FailIo = _ => false;
        await machine.Scheduler.RunAsync(log.DisposeAsync());
        log = await machine.OpenAsync();
        Assert.Equal(["0"], (await ValuesAsync(machine, log))[..1]);
        Assert.Equal(ErrorCode.None, (await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Of("d")], 1)))[0].Error);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_a_failed_flush_left_behind_is_written_again_before_it_counts(bool processDies)
    {
        var machine = new Machine();
        IPartitionLog log = await FilledAsync(machine, 1);
        machine.Disk.FailFlush = path => path.EndsWith(".log", StringComparison.Ordinal);
        Assert.Equal(ErrorCode.KafkaStorageError, (await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Of("lost")], 1)))[0].Error);
        Assert.Equal(1, log.HighWatermark);
        if (processDies)
            machine.Kill();
        else
            await machine.Scheduler.RunAsync(log.DisposeAsync());

        // The disk still fails: nothing is believed that only the page cache has, and the log stays closed.
        Assert.Contains("flush failed", (await Assert.ThrowsAsync<LogException>(() => machine.OpenAsync())).Message);
        machine.Disk.FailFlush = _ => false;
        log = await machine.OpenAsync();
        await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Of("kept")], 1));
        List<string?> served = await ValuesAsync(machine, log);
        machine.Crash(new Random(7));
        log = await machine.OpenAsync();
        Assert.Equal(served, await ValuesAsync(machine, log));
        Assert.Equal(["0", "kept"], served.Where(value => value != "lost"));
        Assert.Single(machine.Events, entry => entry.Kind == LogEventKind.Failed);
        Assert.DoesNotContain("log.unsynced", machine.Disk.ListFiles(machine.Directory));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_log_on_a_full_disk_can_be_read_and_appended_to_again_once_there_is_room(bool indexMissing)
    {
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"));
        var machine = new Machine();
        IPartitionLog log = await FilledAsync(machine, 40, config);
        machine.Disk.IsFull = true;
        Assert.Equal(ErrorCode.KafkaStorageError, (await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Of("a")], 1)))[0].Error);
        Assert.Equal("0", (await ValuesAsync(machine, log))[0]);
        for (int restart = 0; restart < 3; restart++)
        {
            machine.Kill();
            if (indexMissing)
                machine.Disk.DeleteFile(Path.ChangeExtension(FirstLog(machine), ".index"));

            log = await machine.OpenAsync(config);
            Assert.Null(log.Failure);
            for (int i = 0; i < 40; i++)
                Assert.Equal($"{i}", (await ValuesAsync(machine, log, i))[0]);

            Assert.Equal(ErrorCode.KafkaStorageError, (await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Of("b")], 1)))[0].Error);
        }

        machine.Disk.IsFull = false;
        await machine.Scheduler.RunAsync(log.DisposeAsync());
        log = await machine.OpenAsync(config);
        Assert.Equal(40, (await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Of("c")], 1)))[0].BaseOffset);
        Assert.DoesNotContain(machine.Events, entry => entry.Kind is LogEventKind.Damaged or LogEventKind.TailMissing);
    }

    [Fact]
    public void A_file_whose_flush_failed_once_is_never_flushed_again()
    {
        var disk = new FaultyFileSystem();
        disk.CreateDirectory("/logs");
        var file = new SharedFile(new OpenFiles(disk, 8), "/logs/a");
        file.Create();
        disk.FailFlush = _ => true;
        Assert.Throws<IOException>(file.Flush);
        disk.FailFlush = _ => false;
        Assert.Contains("the flush failed", Assert.Throws<IOException>(file.Flush).Message);
        Assert.Equal(0, disk.Flushes);
    }

    [Fact]
    public async Task Always_syncs_before_the_answer_and_many_appends_share_one_sync()
    {
        var machine = new Machine();
        IPartitionLog log = await FilledAsync(machine, 1);
        int before = machine.Disk.Flushes;
        ValueTask<LogAppendResult[]>[] appends = [.. Enumerable.Range(0, 50).Select(i => log.AppendAsync([Batches.Of($"{i}")], 1))];
        Assert.Equal(1, log.HighWatermark);
        machine.Scheduler.RunAll();
        Assert.All(appends, append => Assert.True(append.IsCompletedSuccessfully));
        Assert.Equal(before + 1, machine.Disk.Flushes);
        Assert.Equal(51, log.HighWatermark);
    }

    [Fact]
    public async Task Interval_syncs_once_the_time_is_up_and_os_never_does()
    {
        var machine = new Machine(new LogProviderOptions { Directory = "/logs", Flush = FlushPolicy.Interval(500) });
        IPartitionLog log = await FilledAsync(machine, 3);
        int before = machine.Disk.Flushes;
        machine.Time.Advance(TimeSpan.FromMilliseconds(499));
        machine.Scheduler.RunAll();
        Assert.Equal(before, machine.Disk.Flushes);
        machine.Time.Advance(TimeSpan.FromMilliseconds(1));
        machine.Scheduler.RunAll();
        Assert.Equal(before + 1, machine.Disk.Flushes);

        machine = new Machine(new LogProviderOptions { Directory = "/logs", Flush = FlushPolicy.Os });
        log = await FilledAsync(machine, 3);
        machine.Time.Advance(TimeSpan.FromDays(1));
        machine.Scheduler.RunAll();
        Assert.Equal(0, machine.Disk.Flushes);
        await machine.Scheduler.RunAsync(log.FlushAsync());
        Assert.NotEqual(0, machine.Disk.Flushes);
        machine.Crash(new Random(5));
        Assert.Equal(3, (await machine.OpenAsync()).LogEndOffset);
    }

    [Fact]
    public async Task Appends_beyond_the_limit_wait_for_the_disk_in_their_order()
    {
        var machine = new Machine(new LogProviderOptions { Directory = "/logs", MaxPendingBytes = 1000 });
        IPartitionLog log = await machine.OpenAsync();
        ValueTask<LogAppendResult[]>[] appends = [.. Enumerable.Range(0, 20).Select(_ => log.AppendAsync([Batches.Sized(400)], 1))];
        Assert.Equal(3, log.LogEndOffset);
        machine.Scheduler.RunAll();
        Assert.Equal(Enumerable.Range(0, 20).Select(i => (long)i), appends.Select(append => append.Result[0].BaseOffset));
    }

    [Fact]
    public async Task An_append_that_breaks_while_it_waits_fails_the_log_and_is_answered()
    {
        var machine = new Machine(new LogProviderOptions { Directory = "/logs", MaxPendingBytes = 1000 });
        IPartitionLog log = await machine.OpenAsync();
        ValueTask<LogAppendResult[]>[] taken = [.. Enumerable.Range(0, 3).Select(_ => log.AppendAsync([Batches.Sized(400)], 1))];
        using var memory = new BreakableMemory(Batches.Sized(400).ToArray());
        ValueTask<LogAppendResult[]>[] waiting = [log.AppendAsync([memory.Memory], 1), log.AppendAsync([Batches.Sized(400)], 1)];
        memory.IsBroken = true;
        machine.Scheduler.RunAll();
        Assert.All(taken, append => Assert.True(append.IsCompleted));
        Assert.All(waiting, append => Assert.Equal(ErrorCode.KafkaStorageError, append.Result[0].Error));
    }

    /// <summary>Stands for whatever throws where nobody expects it.</summary>
    private sealed class BreakableMemory(byte[] bytes) : MemoryManager<byte>
    {
        public bool IsBroken { get; set; }

        public override Span<byte> GetSpan() => IsBroken ? throw new OutOfMemoryException("No memory is left.") : bytes;

        public override MemoryHandle Pin(int elementIndex = 0) => throw new NotSupportedException();

        public override void Unpin() => throw new NotSupportedException();

        protected override void Dispose(bool disposing) => IsBroken = true;
    }

    [Fact]
    public async Task A_clean_restart_reads_no_segment_again()
    {
        var machine = new Machine();
        await machine.RestartAsync(await FilledAsync(machine, 3));
        machine.Disk.Damage(FirstLog(machine), 80, [0xEE]);
        IPartitionLog log = await machine.OpenAsync();
        Assert.Equal(3, log.LogEndOffset);
        Assert.Empty(machine.Events);
    }
}
