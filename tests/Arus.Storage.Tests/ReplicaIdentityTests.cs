using Arus.Protocol;
using Arus.Testing;

namespace Arus.Storage.Tests;

/// <summary>When a replica's log has the id that it had, and when acknowledged records may be missing, so that it gets another.</summary>
public sealed class ReplicaIdentityTests
{
    private static readonly TopicConfig Config = LogExtensions.Config(("internal.segment.bytes", "1024"));

    private static LogProviderOptions Os => new() { Directory = "/logs", Flush = FlushPolicy.Os };

    private static async Task<IPartitionLog> FilledAsync(Machine machine, int count = 40)
    {
        IPartitionLog log = await machine.OpenReplicaAsync(Config);
        for (int i = 0; i < count; i++)
            await machine.MustAppendAsync(log, 1, Batches.Of($"{i}"));

        return log;
    }

    private static string LastSegment(Machine machine) => Path.Combine(
        machine.Directory,
        machine.Disk.ListFiles(machine.Directory).Where(name => name.EndsWith(Segment.LogSuffix, StringComparison.Ordinal)).Max()!);

    private static void AssertRenewed(Machine machine, Guid before, IPartitionLog log)
    {
        Assert.NotEqual(before, log.LogId);
        Assert.NotEqual(Guid.Empty, log.LogId);
        Assert.Contains(machine.Events, entry => entry.Kind == LogEventKind.Renewed);
    }

    private static void AssertKept(Machine machine, Guid before, IPartitionLog log)
    {
        Assert.Equal(before, log.LogId);
        Assert.DoesNotContain(machine.Events, entry => entry.Kind == LogEventKind.Renewed);
    }

    [Theory]
    [InlineData("always")]
    [InlineData("os")]
    public async Task A_new_log_has_an_id_for_good_before_it_has_records(string flush)
    {
        var machine = new Machine(new LogProviderOptions { Directory = "/logs", Flush = FlushPolicy.Parse(flush) });
        IPartitionLog log = await machine.OpenReplicaAsync();
        Guid id = log.LogId;
        Assert.NotEqual(Guid.Empty, id);
        machine.Crash(new Random(1));
        AssertKept(machine, id, log = await machine.OpenReplicaAsync());
        await machine.PrepareAsync(log, 3);
        machine.Crash(new Random(2));
        AssertKept(machine, id, log = await machine.OpenReplicaAsync());
        Assert.Equal(3, log.FencedEpoch);
    }

    [Fact]
    public async Task A_process_that_is_killed_leaves_the_log_as_it_was()
    {
        var machine = new Machine(Os);
        IPartitionLog log = await FilledAsync(machine);
        machine.Kill();
        AssertKept(machine, log.LogId, await machine.OpenReplicaAsync(Config));
    }

    [Fact]
    public async Task A_machine_that_loses_power_may_lose_what_was_not_synced()
    {
        foreach (int seed in Seeds.Take(20))
        {
            var random = new Random(seed);
            var machine = new Machine(Os);
            IPartitionLog log = await FilledAsync(machine, random.Next(1, 30));
            machine.Crash(random);
            IPartitionLog again = await machine.OpenReplicaAsync(Config);
            AssertRenewed(machine, log.LogId, again);
            Assert.True(again.HighWatermark <= again.DurableEndOffset, $"seed {seed}");
        }
    }

    [Fact]
    public async Task A_log_that_was_closed_before_the_machine_stopped_has_all()
    {
        foreach (int seed in Seeds.Take(20))
        {
            var machine = new Machine(Os);
            IPartitionLog log = await FilledAsync(machine);
            Guid id = log.LogId;
            await machine.RestartAsync(log);
            machine.Crash(new Random(seed));
            AssertKept(machine, id, log = await machine.OpenReplicaAsync(Config));
            Assert.Equal(40, log.DurableEndOffset);

            // It was opened, and nothing was written.
            machine.Crash(new Random(seed));
            AssertKept(machine, id, log = await machine.OpenReplicaAsync(Config));

            // The mark of the closing must not outlive what is acknowledged after it.
            await machine.MustAppendAsync(log, 1, Batches.Of("more"));
            machine.Crash(new Random(seed));
            AssertRenewed(machine, id, await machine.OpenReplicaAsync(Config));
        }
    }

    [Fact]
    public async Task What_was_synced_before_it_was_acknowledged_survives_with_the_id()
    {
        foreach (int seed in Seeds.Take(60))
        {
            var random = new Random(seed);
            var machine = new Machine();
            IPartitionLog log = await FilledAsync(machine, random.Next(20));
            Guid id = log.LogId;
            long acknowledged = log.DurableEndOffset;
            log.AdvanceHighWatermark(random.Next((int)acknowledged + 1));
            machine.Time.Advance(TimeSpan.FromSeconds(5));

            // A group commit of several batches, which the crash may tear anywhere.
            for (int i = 0; i < random.Next(1, 5); i++)
                _ = log.AppendAsync([Batches.Of(new string((char)('a' + i), random.Next(1, 400)))], 1);

            for (int i = random.Next(3); i > 0; i--)
                machine.Scheduler.RunOne(random);

            acknowledged = log.DurableEndOffset;
            machine.Crash(random);
            log = await machine.OpenReplicaAsync(Config);
            Assert.True(log.LogId == id, $"seed {seed}: {string.Join("; ", machine.Events.Select(entry => entry.Message))}");
            Assert.True(log.DurableEndOffset >= acknowledged, $"seed {seed}");
            List<(long Offset, string? Value)> records = await machine.ReadAllAsync(log);
            Assert.Equal(Enumerable.Range(0, (int)log.DurableEndOffset).Select(i => (long)i), records.Select(record => record.Offset));
        }
    }

    [Fact]
    public async Task A_log_that_an_unsynced_life_left_is_not_trusted_because_the_next_life_syncs()
    {
        var machine = new Machine(Os);
        IPartitionLog log = await FilledAsync(machine);
        machine.Crash(new Random(3));
        machine.Reconfigure(options => options with { Flush = FlushPolicy.Always });
        IPartitionLog again = await machine.OpenReplicaAsync(Config);
        AssertRenewed(machine, log.LogId, again);
        Guid id = again.LogId;
        await machine.MustAppendAsync(again, 1, Batches.Of("synced"));
        machine.Crash(new Random(4));
        Assert.Equal(id, (await machine.OpenReplicaAsync(Config)).LogId);
    }

    [Fact]
    public async Task Without_a_boot_id_only_a_closing_is_trusted()
    {
        var machine = new Machine(Os);
        machine.Reconfigure(options => options with { BootId = Guid.Empty });
        IPartitionLog log = await FilledAsync(machine);
        Guid id = log.LogId;
        await machine.RestartAsync(log);
        AssertKept(machine, id, log = await machine.OpenReplicaAsync(Config));
        await machine.MustAppendAsync(log, 1, Batches.Of("more"));
        machine.Kill();
        AssertRenewed(machine, id, await machine.OpenReplicaAsync(Config));
    }

    [Fact]
    public async Task A_replica_ends_where_damage_begins()
    {
        var machine = new Machine();
        IPartitionLog log = await FilledAsync(machine);
        string path = LastSegment(machine);
        machine.Kill();
        machine.Disk.Damage(path, 100, [0xEE]);
        IPartitionLog again = await machine.OpenReplicaAsync(Config);
        AssertRenewed(machine, log.LogId, again);
        List<(long Offset, string? Value)> records = await machine.ReadAllAsync(again);
        Assert.Equal(again.DurableEndOffset, records.Count);
        Assert.InRange(again.DurableEndOffset, 1, log.DurableEndOffset - 1);
        Assert.Contains(machine.Events, entry => entry.Kind == LogEventKind.Damaged && entry.FromOffset == again.DurableEndOffset);
    }

    /// <param name="wasDamaged">
    /// A segment was set aside there before, and the leader has filled the place again: that excuses no second loss.
    /// </param>
    [Theory, InlineData(false), InlineData(true)]
    public async Task A_replica_ends_before_a_segment_that_is_missing(bool wasDamaged)
    {
        var machine = new Machine();
        IPartitionLog log = await FilledAsync(machine);
        string[] names = [.. machine.Disk.ListFiles(machine.Directory).Where(name => name.EndsWith(".log", StringComparison.Ordinal))];
        machine.Kill();
        string missing = Path.Combine(machine.Directory, names[1]);
        if (wasDamaged)
            machine.Disk.RenameFile(missing, Path.ChangeExtension(missing, ".damaged"));
        else
            machine.Disk.DeleteFile(missing);

        IPartitionLog again = await machine.OpenReplicaAsync(Config);
        AssertRenewed(machine, log.LogId, again);
        Assert.Equal(long.Parse(Path.GetFileNameWithoutExtension(names[1])), again.DurableEndOffset);
        Assert.Contains(machine.Events, entry => entry.Kind == LogEventKind.RecordsMissing);
        Assert.Equal(
            names.Length - 2,
            machine.Disk.ListFiles(machine.Directory).Count(name => name.EndsWith(".orphan", StringComparison.Ordinal)));
        machine.Kill();
        Assert.Equal(again.LogId, (await machine.OpenReplicaAsync(Config)).LogId); // Told once.
    }

    [Fact]
    public async Task A_replica_without_its_segments_begins_anew_where_it_began()
    {
        var machine = new Machine();
        IPartitionLog log = await FilledAsync(machine);
        await machine.RestartAsync(log);
        foreach (string name in machine.Disk.ListFiles(machine.Directory).Where(name => name.EndsWith(".log", StringComparison.Ordinal)))
            machine.Disk.DeleteFile(Path.Combine(machine.Directory, name));

        IPartitionLog again = await machine.OpenReplicaAsync(Config);
        AssertRenewed(machine, log.LogId, again);
        Assert.Equal((0, 0, 0, 0), (again.LogStartOffset, again.HighWatermark, again.DurableEndOffset, again.Epochs.Length));
    }

    [Fact]
    public async Task A_log_that_ends_before_its_high_watermark_lacks_records()
    {
        var machine = new Machine();
        IPartitionLog log = await FilledAsync(machine);
        log.AdvanceHighWatermark(40);
        machine.Time.Advance(TimeSpan.FromSeconds(5));
        machine.Scheduler.RunAll();
        machine.Kill();
        string path = LastSegment(machine);
        byte[] content = machine.Disk.Content(path);
        machine.Disk.Replace(path, content[..new RecordBatchHeader(content).SizeInBytes]);
        IPartitionLog again = await machine.OpenReplicaAsync(Config);
        AssertRenewed(machine, log.LogId, again);
        Assert.Equal(again.DurableEndOffset, again.HighWatermark);
        Assert.True(again.DurableEndOffset < 40);
    }

    [Fact]
    public async Task A_damaged_replica_file_is_not_believed()
    {
        var machine = new Machine();
        IPartitionLog log = await FilledAsync(machine);
        await machine.PrepareAsync(log, 9);
        await machine.MustAppendAsync(log, 9, Batches.Of("last"));
        log.AdvanceHighWatermark(20);
        await machine.RestartAsync(log);
        machine.Disk.Damage(ReplicaFile.PathIn(machine.Directory), 20, [0xEE]);
        IPartitionLog again = await machine.OpenReplicaAsync(Config);
        AssertRenewed(machine, log.LogId, again);
        Assert.Equal((9, 41), (again.FencedEpoch, again.DurableEndOffset)); // By the last batch.
    }

    [Fact]
    public async Task Damaged_offsets_cost_the_high_watermark_alone()
    {
        var machine = new Machine();
        IPartitionLog log = await FilledAsync(machine);
        await machine.PrepareAsync(log, 9);
        log.AdvanceHighWatermark(20);
        await machine.RestartAsync(log);
        string path = ReplicaFile.PathIn(machine.Directory);
        machine.Disk.Damage(path, machine.Disk.Content(path).Length - 5, [0xEE]);
        IPartitionLog again = await machine.OpenReplicaAsync(Config);
        AssertKept(machine, log.LogId, again);
        Assert.Equal((9, 0, 40), (again.FencedEpoch, again.HighWatermark, again.DurableEndOffset));
    }

    [Fact]
    public async Task A_log_that_was_one_copy_becomes_a_replica_with_all_it_has()
    {
        var machine = new Machine();
        IPartitionLog log = await machine.OpenAsync(Config);
        for (int i = 0; i < 10; i++)
            await machine.MustAppendAsync(log, 4, Batches.Of($"{i}"));

        await machine.RestartAsync(log);
        log = await machine.OpenReplicaAsync(Config);
        Assert.NotEqual(Guid.Empty, log.LogId);
        Assert.Equal((10, 4), (log.HighWatermark, log.FencedEpoch));
        Guid id = log.LogId;
        await machine.RestartAsync(log);

        // What it takes in as one copy no other replica has.
        log = await machine.OpenAsync(Config);
        await machine.MustAppendAsync(log, 4, Batches.Of("alone"));
        machine.Kill();
        log = await machine.OpenReplicaAsync(Config);
        Assert.NotEqual(id, log.LogId);
        Assert.Equal(11, log.HighWatermark);
    }

    [Fact]
    public async Task Another_topic_of_the_same_name_has_nothing_of_the_log()
    {
        var machine = new Machine();
        Guid first = new("00000000-0000-0000-0000-0000000000f1");
        IPartitionLog log = await machine.OpenReplicaAsync(topicId: first);
        Guid id = log.LogId;
        await machine.PrepareAsync(log, 9);
        await machine.RestartAsync(log);
        log = await machine.OpenReplicaAsync(topicId: new Guid("00000000-0000-0000-0000-0000000000f2"));
        Assert.NotEqual(id, log.LogId);
        Assert.Equal(-1, log.FencedEpoch);
        Assert.Contains(machine.Events, entry => entry.Kind == LogEventKind.SetAside);
    }
}
