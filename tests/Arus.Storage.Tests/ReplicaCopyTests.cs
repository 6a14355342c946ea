using System.Runtime.InteropServices;
using Arus.Testing;

namespace Arus.Storage.Tests;

/// <summary>How often the bytes of records are copied on their way from a leader's log to a follower's.</summary>
public sealed class ReplicaCopyTests
{
    private const int PushBytes = 1 << 20;

    [Fact]
    public async Task A_leader_reads_for_its_followers_from_memory_without_a_copy()
    {
        var machine = new Machine();
        IPartitionLog log = await machine.OpenReplicaAsync();
        for (int i = 0; i < 10; i++)
            await machine.MustAppendAsync(log, 1, Batches.Of($"{i}"));

        ArraySegment<byte> first = Read(LogReadLimit.DurableEnd);
        log.AdvanceHighWatermark(10);
        Assert.Equal(first, Read(LogReadLimit.DurableEnd)); // The same stretch of the same array.
        Assert.Equal(first, Read(LogReadLimit.HighWatermark));

        ArraySegment<byte> Read(LogReadLimit upTo)
        {
            ValueTask<LogReadResult> read = log.ReadAsync(3, 1 << 20, minOneBatch: true, upTo);
            Assert.True(read.IsCompletedSuccessfully);
            Assert.True(MemoryMarshal.TryGetArray(Assert.Single(read.Result.Records), out ArraySegment<byte> segment));
            return segment;
        }
    }

    [Fact]
    public async Task What_a_leader_pushes_is_copied_once_into_the_tail_cache()
    {
        string directory = Directory.CreateTempSubdirectory("arus-push-").FullName;
        try
        {
            Assert.InRange(await MeasureAsync(directory), 0, PushBytes * 5 / 4);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <returns>Bytes that are allocated for a push, once the log's buffers have grown.</returns>
    private static async Task<long> MeasureAsync(string directory)
    {
        const int WarmUp = 4;
        const int Pushes = 8;
        var scheduler = new ManualScheduler();
        var options = new LogProviderOptions
        {
            Directory = directory, Flush = FlushPolicy.Os, NewLogId = static () => new Guid(1, 2, 3, new byte[8]),
        };
        await using var provider = new LogProvider(options, scheduler: scheduler);
        IPartitionLog log = await scheduler.RunAsync(provider.OpenAsync(
            Machine.Partition, Guid.Empty, LogExtensions.Config(), replication: new LogReplication(static () => { })));
        byte[] batch = Batches.Sized(PushBytes / 64).ToArray();
        byte[] push = [.. Enumerable.Repeat(batch, 64).SelectMany(bytes => bytes)];
        long allocated = 0;
        for (int i = 0; i < WarmUp + Pushes; i++)
        {
            for (int at = 0; at < push.Length; at += batch.Length)
                BatchStamp.Write(push.AsMemory(at, batch.Length), log.LogEndOffset + (at / batch.Length), 1, null);

            ReadOnlyMemory<byte>[] entries = [push];
            long before = GC.GetAllocatedBytesForCurrentThread();
            ValueTask<LogAppendResult[]> append = log.AppendAsync(entries, 1, AppendOrigin.Replica);
            scheduler.RunAll();
            allocated += i < WarmUp ? 0 : GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(append.IsCompletedSuccessfully);
            Assert.Equal(ErrorCode.None, append.Result[0].Error);
        }

        await scheduler.RunAsync(log.DisposeAsync());
        return allocated / Pushes;
    }
}
