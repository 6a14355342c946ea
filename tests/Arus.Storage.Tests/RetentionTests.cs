namespace Arus.Storage.Tests;

public sealed class RetentionTests
{
    private const long Start = 1_700_000_000_000;

    [Fact]
    public async Task DeleteRecords_moves_the_start_durably_within_a_segment()
    {
        var machine = new Machine();
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"));
        IPartitionLog log = await machine.OpenAsync(config);
        for (int i = 0; i < 10; i++)
            await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Sized(400)], 1));

        LogDeleteResult result = await machine.Scheduler.RunAsync(log.DeleteRecordsAsync(5));
        Assert.Equal((ErrorCode.None, 5L), (result.Error, result.LogStartOffset));
        Assert.Equal(3, log.SegmentCount);
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await machine.Scheduler.RunAsync(log.DeleteRecordsAsync(11))).Error);
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await log.ReadAsync(4, 100, true)).Error);
        machine.Crash(new Random(3));
        log = await machine.OpenAsync(config);
        Assert.Equal((5, 10), (log.LogStartOffset, log.LogEndOffset));
        result = await machine.Scheduler.RunAsync(log.DeleteRecordsAsync(-1));
        Assert.Equal(10, result.LogStartOffset);
    }

    /// <remarks>The offsets at which Kafka 4.4.0 begins segments for records of these times.</remarks>
    [Theory]
    [InlineData(false, new[] { 0, 10_000, 10_001, 5_000, 20_002 }, new[] { 0, 2, 4 })]
    [InlineData(true, new[] { 0, 10_000, 10_001, 5_000, 20_002 }, new[] { 0, 2, 4 })]
    [InlineData(false, new[] { 50_000, 0, 60_000, 60_001, 0, 70_001 }, new[] { 0, 3 })]
    [InlineData(true, new[] { 50_000, 0, 60_000, 60_001, 0, 70_001 }, new[] { 0, 3 })]
    public async Task Segments_roll_by_the_time_of_records(bool reopens, int[] times, int[] segments)
    {
        await using var fixture = new LogFixture();
        TopicConfig config = LogExtensions.Config(("segment.ms", "10000"));
        IPartitionLog log = await fixture.OpenAsync(config);
        for (int i = 0; i < times.Length; i++)
        {
            await log.MustAppendAsync(Batches.Sized(100, Start + times[i]));
            Assert.Equal(segments.Count(first => first <= i), log.SegmentCount);
            log = reopens ? await fixture.ReopenAsync(config) : log;
        }
    }

    [Fact]
    public async Task Idle_logs_give_their_cache_back_and_few_files_stay_open()
    {
        await using var fixture = new LogFixture();
        fixture.Options = fixture.Options with { CacheBytes = 64 * 1024, MaxOpenFiles = 8 };
        var logs = new List<IPartitionLog>();
        for (int i = 0; i < 50; i++)
        {
            logs.Add(await fixture.OpenAsync(partition: new TopicPartition("many", i)));
            await logs[i].MustAppendAsync(Batches.Of($"{i}"));
        }

        Assert.Equal((64 * 1024L, 8), (fixture.Provider!.CachedBytes, fixture.Provider.OpenFiles));
        for (int i = 0; i < 50; i++)
            Assert.Equal([$"{i}"], await logs[i].ReadValuesAsync());

        Assert.Equal(8, fixture.Provider.OpenFiles);
    }
}
