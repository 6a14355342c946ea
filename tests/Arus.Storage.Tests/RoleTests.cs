using System.Buffers;
using Arus.Testing;

namespace Arus.Storage.Tests;

/// <summary>Roles of the log in files, each alone.</summary>
public sealed class RoleTests
{
    [Fact]
    public void The_segment_list_publishes_what_is_written_and_forgets_what_is_removed()
    {
        var list = new SegmentList(new TailCacheBudget(1 << 20), new LoadedLog());
        Segment first = NewSegment(0);
        list.Add(first);
        Append(list, epoch: 1, 0, 3);
        OffsetLookup lookup = list.Find(0, LogReadLimit.HighWatermark, out _);
        Assert.Equal((OffsetLookup.AtEnd, 0L, 3L), (lookup, list.HighWatermark, list.LogEndOffset));
        Publish(list, 0, 3);
        Assert.Equal(OffsetLookup.Readable, list.Find(2, LogReadLimit.HighWatermark, out TailChunk? chunk));
        Assert.NotNull(chunk);
        Assert.Equal(OffsetLookup.OutOfRange, list.Find(4, LogReadLimit.HighWatermark, out _));

        Segment second = NewSegment(3);
        list.Add(second);
        Append(list, epoch: 2, 3, 5);
        Publish(list, 3, 5);
        Assert.Equal((2, 5, 200), (list.All.Length, list.HighWatermark, list.SizeBytes));
        Assert.Equal(second, list.Locate(3)?.Segment);
        Assert.Equal(new LogEpochEnd(1, 3), list.EpochEnd(1));

        list.Replace(0, 1, null);
        Assert.Equal((3, 100), (list.LogStartOffset, list.SizeBytes));
        Assert.Null(list.Locate(2));
        list.TruncateTo(3, [], new ProducerStateManager());
        Assert.Equal((3, 3, 3, 1), (list.LogStartOffset, list.HighWatermark, list.LogEndOffset, list.Generation));
    }

    [Fact]
    public void Memory_of_the_tail_cache_is_used_again_when_the_last_lease_on_it_is_released()
    {
        var budget = new TailCacheBudget(1 << 20);
        var list = new SegmentList(budget, new LoadedLog());
        byte[] Drop(params LogReadLease?[] leases)
        {
            long offset = list.LogEndOffset;
            (TailChunk reserved, int start) = list.Tail.Reserve(100, offset);
            list.AssignOffsets(1, offset, offset + 1);
            list.Publish([new PendingBatch(reserved, start, 100, offset, offset + 1, 0, 0, null)]);
            foreach (LogReadLease? lease in leases)
                Assert.Equal(OffsetLookup.Readable, list.Find(offset, LogReadLimit.HighWatermark, out _, lease));

            Assert.True(list.Tail.TryDrop(reserved));
            return reserved.Bytes;
        }

        // The pool hands a thread first what that thread has returned last.
        list.Add(NewSegment(0));
        (var one, var two) = (new LogReadLease(), new LogReadLease());
        byte[] leased = Drop(one, two);
        Assert.NotSame(leased, ArrayPool<byte>.Shared.Rent(leased.Length));
        one.Release();
        Assert.NotSame(leased, ArrayPool<byte>.Shared.Rent(leased.Length));
        two.Release();
        Assert.Same(leased, ArrayPool<byte>.Shared.Rent(leased.Length));

        byte[] kept = Drop(one, null);
        one.Release();
        Assert.NotSame(kept, ArrayPool<byte>.Shared.Rent(kept.Length));
        byte[] unread = Drop();
        Assert.Same(unread, ArrayPool<byte>.Shared.Rent(unread.Length));
    }

    [Fact]
    public void The_epochs_of_a_log_move_with_its_start_and_its_end()
    {
        var epochs = new LeaderEpochs(new LogEpochStart(1, 0), new LogEpochStart(3, 10), new LogEpochStart(4, 20));
        epochs.Add(4, 25);
        epochs.Add(6, 30);
        Assert.Equal(new LogEpochEnd(3, 20), epochs.End(3, 40));
        Assert.Equal(new LogEpochEnd(4, 30), epochs.End(5, 40));
        Assert.Equal(new LogEpochEnd(6, 40), epochs.End(6, 40));
        epochs.AdvanceStart(15);
        Assert.Equal([new LogEpochStart(3, 15), new LogEpochStart(4, 20), new LogEpochStart(6, 30)], epochs.Entries);
        Assert.Equal(new LogEpochEnd(2, 15), epochs.End(2, 40));
        epochs.TruncateTo(20);
        Assert.Equal(3, epochs.Latest);
    }

    [Theory]
    [InlineData(8, 8520)]
    [InlineData(7, 8440)]
    public void An_index_that_is_full_thins_itself_and_still_finds_a_position_before_each_batch(int maxEntries, int lastPosition)
    {
        var index = new SegmentIndex(intervalBytes: 0, maxEntries);
        for (int i = 0; i < 1000; i++)
        {
            index.Add(i, i * 10, maxTimestampBefore: i - 1);
            Assert.InRange(index.Entries.Length, 1, maxEntries);
        }

        for (int i = 0; i < 1000; i++)
        {
            Assert.InRange(index.FloorByOffset(i).Position, 0, i * 10);
            Assert.InRange(index.FloorByTimestamp(i).Position, 0, i * 10);
        }

        Assert.Equal(lastPosition, index.FloorByOffset(999).Position);
    }

    [Fact]
    public async Task Stored_logs_are_found_on_any_file_system()
    {
        var time = new ManualTimeProvider();
        var disk = new MemoryFileSystem(time);
        var options = new LogProviderOptions { Directory = "/logs", Time = time };
        await using (var provider = new LogProvider(options, disk))
        {
            IPartitionLog log = await provider.OpenAsync(new TopicPartition("a-b", 3), Guid.Empty, LogExtensions.Config());
            await log.MustAppendAsync(Batches.Of("a"));
            await provider.OpenAsync(new TopicPartition("empty", 0), Guid.Empty, LogExtensions.Config());
            disk.CreateDirectory("/logs/not a log");
        }

        DateTimeOffset written = time.GetUtcNow();
        time.Advance(TimeSpan.FromHours(1));
        Assert.Equal([new StoredLog(new TopicPartition("a-b", 3), written)], StoredLogs.List("/logs", disk));
        Assert.Empty(StoredLogs.List("/elsewhere", disk));
    }

    private static Segment NewSegment(long baseOffset) =>
        new("/d", baseOffset, new OpenFiles(new MemoryFileSystem(), 8), new SegmentIndex(0));

    private static void Append(SegmentList list, int epoch, long baseOffset, long nextOffset) =>
        list.AssignOffsets(epoch, baseOffset, nextOffset);

    private static void Publish(SegmentList list, long baseOffset, long nextOffset)
    {
        (TailChunk chunk, int start) = list.Tail.Reserve(100, baseOffset);
        list.Publish([new PendingBatch(chunk, start, 100, baseOffset, nextOffset, MaxTimestamp: 0, AppendMs: 0, Roll: null)]);
    }
}
