using Arus.Storage.Rows;
using Arus.Testing;

namespace Arus.Storage.Tests;

/// <summary>Logs over a simulated store, whose calls take effect when a test says so.</summary>
internal static class RowLogs
{
    public static readonly RowLogOptions Small = new()
    {
        Time = new ManualTimeProvider(), MaxRowBytes = 400, MergedRowBytes = 1500, MergeRows = 3, RowsPerCheckpoint = 4, CacheBytes = 500,
        StoreAttempts = 6, ContinuesInline = true,
    };

    public static RowPartitionLog Open(
        SimulatedRowStore store, int epoch = -1, TopicConfig? config = null, RowLogOptions? options = null) =>
        Do(
            store,
            RowPartitionLog.OpenAsync(LogFixture.Partition, store.Connect(), config ?? LogExtensions.Config(), options ?? Small, epoch));

    public static List<string?> Values(SimulatedRowStore store, IPartitionLog log) =>
        [.. ReadAll(store, log).Select(record => record.Value)];

    public static List<(long Offset, string? Key, string? Value)> ReadAll(SimulatedRowStore store, IPartitionLog log)
    {
        var records = new List<(long Offset, string? Key, string? Value)>();
        for (long next = log.LogStartOffset; next < log.HighWatermark;)
        {
            LogReadResult read = Do(store, log.ReadAsync(next, 300, minOneBatch: true).AsTask());
            Assert.Equal(ErrorCode.None, read.Error);
            Assert.NotEmpty(read.Records);
            records.AddRange(Batches.Records(read.Records).Where(record => record.Offset >= next));
            long after = new RecordBatchHeader(read.Records[^1].Span[LastBatch(read.Records[^1].Span)..]).NextOffset;
            Assert.True(after > next, $"Reading at {next} led to {after}.");
            next = after;
        }

        return records;
    }

    /// <summary>Steps until the task is done. Nothing runs on the pool, so a task that no call is left for never gets done.</summary>
    public static T Do<T>(SimulatedRowStore store, Task<T> task, int seed = 0)
    {
        var order = new Random(seed);
        while (!task.IsCompleted)
            Assert.True(store.Step(order), "No call is left that the task could wait for.");

        return task.GetAwaiter().GetResult();
    }

    /// <summary>
    /// Without the test runner's scheduler and context, so that continuations run where the store answers, one after the other, and a
    /// seed replays everything.
    /// </summary>
    public static void OnOwnThread(Action action)
    {
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                action();
            }
            catch (Exception error)
            {
                failure = error;
            }
        });
        thread.Start();
        thread.Join();
        if (failure is not null)
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
    }

    public static async Task<bool> Wrap(ValueTask task)
    {
        await task.ConfigureAwait(false);
        return true;
    }

    private static int LastBatch(ReadOnlySpan<byte> batches)
    {
        int last = 0;
        for (int at = 0; at < batches.Length; at += new RecordBatchHeader(batches[at..]).SizeInBytes)
            last = at;

        return last;
    }
}
