using Arus.Compression;
using Arus.Testing;

namespace Arus.Storage.Tests;

public sealed class CompactionTests
{
    private static TopicConfig Compacted(params (string Key, string Value)[] more) =>
        LogExtensions.Config(
            [("cleanup.policy", "compact"), ("internal.segment.bytes", "1024"), ("min.cleanable.dirty.ratio", "0"), .. more]);

    /// <summary>Fills segments until the last record lies in a full one.</summary>
    private static async Task SealAsync(IPartitionLog log)
    {
        for (int count = log.SegmentCount; log.SegmentCount < count + 1;)
            await log.MustAppendAsync(Batches.Keyed(("filler", new string('f', 300))));
    }

    private static async Task<Dictionary<string, string?>> LatestAsync(IPartitionLog log) =>
        (await log.ReadAllAsync()).GroupBy(record => record.Key!).ToDictionary(group => group.Key, group => group.Last().Value);

    private static async Task<LogMaintenanceResult> CompactAsync(IPartitionLog log)
    {
        await log.FlushAsync();
        return await log.MaintainAsync();
    }

    [Fact]
    public async Task The_dirty_ratio_and_the_greatest_lag_decide_when()
    {
        await using var fixture = new LogFixture();
        TopicConfig config = LogExtensions.Config(
            ("cleanup.policy", "compact"), ("internal.segment.bytes", "1024"), ("min.cleanable.dirty.ratio", "1"),
            ("max.compaction.lag.ms", "60000"));
        IPartitionLog log = await fixture.OpenAsync(config);
        await log.MustAppendAsync(Batches.Keyed(("a", "1")));
        await SealAsync(log);
        await CompactAsync(log);
        await SealAsync(log);
        await SealAsync(log);
        Assert.Equal(0, (await CompactAsync(log)).SegmentsCompacted);
        fixture.Time.Advance(TimeSpan.FromMilliseconds(60_001));
        Assert.NotEqual(0, (await CompactAsync(log)).SegmentsCompacted);
    }

    [Fact]
    public async Task A_small_map_takes_several_passes_and_comes_to_the_same()
    {
        await using var fixture = new LogFixture();
        fixture.Options = fixture.Options with { CompactionMapBytes = 1 };
        IPartitionLog log = await fixture.OpenAsync(Compacted());
        for (int i = 0; i < 300; i++)
            await log.MustAppendAsync(Batches.Keyed(($"k{i % 50}", $"{i}")));

        await SealAsync(log);
        Dictionary<string, string?> latest = await LatestAsync(log);
        for (int pass = 0; pass < 100; pass++)
            await CompactAsync(log);

        log = await fixture.ReopenAsync(Compacted());
        Assert.Equal(latest, await LatestAsync(log));
        Assert.Equal(52, (await log.ReadAllAsync()).Count);
    }

    [Fact]
    public async Task The_last_batch_of_a_producer_keeps_its_sequence()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync(Compacted());
        await log.MustAppendAsync(Batches.Build(
            [("k", "old")], new RecordBatchOptions { ProducerId = 5, ProducerEpoch = 1, BaseSequence = 8 }));
        await log.MustAppendAsync(Batches.Keyed(("k", "new")));
        await SealAsync(log);
        await CompactAsync(log);
        await fixture.CloseAsync();

        // Without checkpoint and snapshots, the log itself must tell.
        IEnumerable<string> names = fixture.FileSystem.ListFiles(fixture.Directory);
        foreach (string name in names.Where(name => !name.EndsWith(".log", StringComparison.Ordinal)))
            fixture.FileSystem.DeleteFile(Path.Combine(fixture.Directory, name));

        log = await fixture.OpenAsync(Compacted());
        Assert.DoesNotContain("old", await log.ReadValuesAsync());
        ReadOnlyMemory<byte> Next(int sequence) =>
            Batches.Build([("k", "x")], new RecordBatchOptions { ProducerId = 5, ProducerEpoch = 1, BaseSequence = sequence });
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, (await log.AppendOneAsync(Next(11))).Error);
        Assert.Equal(0, await log.MustAppendAsync(Next(8)));
        Assert.Equal(ErrorCode.None, (await log.AppendOneAsync(Next(9))).Error);
    }

    [Fact]
    public Task A_crash_at_any_point_leaves_the_old_segments_or_the_new() => Seeds.RunAsync(100, seed => CrashAsync(new Random(seed)));

    private static async Task CrashAsync(Random random)
    {
        var machine = new Machine();
        IPartitionLog log = await machine.OpenAsync(Compacted());
        var sent = new Dictionary<long, (string Key, string? Value)>();
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < 40; i++)
            {
                (string key, string? value) = ($"k{random.Next(6)}", random.Next(8) == 0 ? null : $"{round}/{i}");
                LogAppendResult[] results = await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Keyed((key, value))], 1));
                sent.Add(results[0].BaseOffset, (key, value));
            }

            Task<LogMaintenanceResult> pass = log.MaintainAsync().AsTask();
            await machine.Scheduler.RunUntilAsync(pass, random, steps: 1 + random.Next(25));
            if (random.Next(3) == 0)
                machine.Kill();
            else
                machine.Crash(random);

            log = await machine.OpenAsync(Compacted());
            await VerifyAsync(machine, log, sent);
        }
    }

    private static async Task VerifyAsync(Machine machine, IPartitionLog log, Dictionary<long, (string Key, string? Value)> sent)
    {
        var records = new List<(long Offset, string? Key, string? Value)>();
        for (long next = log.LogStartOffset; next < log.HighWatermark;)
        {
            LogReadResult read = await machine.Scheduler.RunAsync(log.ReadAsync(next, 1 << 20, minOneBatch: true));
            if (read.Records.Length == 0)
                break;

            List<(long Offset, string? Key, string? Value)> part = Batches.Records(read.Records);
            records.AddRange(part.Where(record => record.Offset >= next));
            next = part[^1].Offset + 1;
        }

        Assert.Equal(records.Select(record => record.Offset).Order(), records.Select(record => record.Offset));
        Assert.All(records, record => Assert.Equal(sent[record.Offset], (record.Key!, record.Value)));
        HashSet<long> found = [.. records.Select(record => record.Offset)];
        foreach (IGrouping<string, KeyValuePair<long, (string Key, string? Value)>> key in sent.GroupBy(pair => pair.Value.Key))
            Assert.Contains(key.Max(pair => pair.Key), found);
    }
}
