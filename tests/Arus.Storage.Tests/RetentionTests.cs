namespace Arus.Storage.Tests;

public sealed class RetentionTests
{
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
