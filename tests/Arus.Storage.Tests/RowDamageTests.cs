using Arus.Storage.Rows;

namespace Arus.Storage.Tests;

/// <summary>
/// A small log whose rows are damaged in every way that one byte or a missing end can: what lies in other rows is served, the damaged row
/// is named, nothing else is served and nothing hangs. A row whose damage keeps the log from opening is named, too.
/// </summary>
public sealed class RowDamageTests
{
    private const int Count = 12;

    private static readonly RowLogOptions Options = new()
    {
        MaxRowBytes = 200, MergedRowBytes = 400, MergeRows = 100, RowsPerCheckpoint = 5, CacheBytes = 0,
    };

    [Fact]
    public async Task Of_a_flipped_byte_only_its_row_suffers()
    {
        (MemoryRowStore store, Dictionary<string, long[]> offsets) = await FilledAsync();
        foreach ((string key, ReadOnlyMemory<byte> row) in store.Rows)
        {
            for (int i = 0; i < row.Length; i++)
            {
                byte[] flipped = row.ToArray();
                flipped[i] ^= (byte)(1 << (i % 8));
                await CheckAsync(store.With(key, flipped), offsets, key, $"{key} byte {i}");
            }
        }
    }

    [Fact]
    public async Task Of_a_row_that_was_cut_off_only_its_own_records_are_lost()
    {
        (MemoryRowStore store, Dictionary<string, long[]> offsets) = await FilledAsync();
        foreach ((string key, ReadOnlyMemory<byte> row) in store.Rows)
        {
            for (int length = 0; length < row.Length; length++)
                await CheckAsync(store.With(key, row[..length]), offsets, key, $"{key} cut at {length}");
        }
    }

    [Fact]
    public async Task A_damaged_head_is_named()
    {
        (MemoryRowStore store, _) = await FilledAsync();
        ReadOnlyMemory<byte> head = (await store.ReadHeadAsync(LogHead.Rows))!.Bytes;
        for (int i = 0; i < head.Length; i++)
        {
            byte[] flipped = head.ToArray();
            flipped[i] ^= 1;
            LogException refusal = await Assert.ThrowsAsync<LogException>(() => OpenAsync(store.WithHead(flipped)));
            Assert.Contains("head", refusal.Message, StringComparison.Ordinal);
        }
    }

    /// <summary>A batch a row, in a store whose head lists some of them, and the offsets in each row.</summary>
    private static async Task<(MemoryRowStore Store, Dictionary<string, long[]> Offsets)> FilledAsync()
    {
        var store = new MemoryRowStore();
        var offsets = new Dictionary<string, long[]>();
        RowPartitionLog log = await OpenAsync(store);
        for (int i = 0; i < Count; i++)
        {
            string[] before = [.. store.Rows.Keys];
            long first = log.LogEndOffset;
            Assert.Equal(ErrorCode.None, (await log.AppendAsync([Batches.Of($"{i}", "x")], 1))[0].Error);
            offsets.Add(Assert.Single(store.Rows.Keys.Except(before)), [first, first + 1]);
        }

        return (store, offsets);
    }

    private static Task<RowPartitionLog> OpenAsync(MemoryRowStore store) =>
        RowPartitionLog.OpenAsync(LogFixture.Partition, store, LogExtensions.Config(), Options, leaderEpoch: 1);

    private static async Task CheckAsync(MemoryRowStore store, Dictionary<string, long[]> offsets, string damaged, string what)
    {
        RowPartitionLog log;
        try
        {
            log = await OpenAsync(store).WaitAsync(Testing.TestTimeout.Value);
        }
        catch (LogException refusal)
        {
            Assert.True(refusal.Message.Contains(damaged, StringComparison.Ordinal), $"{what}: {refusal.Message}");
            return;
        }

        foreach ((string key, long[] held) in offsets)
        {
            try
            {
                LogReadResult read = await log.ReadAsync(held[0], 1, minOneBatch: true).AsTask().WaitAsync(Testing.TestTimeout.Value);
                Assert.True(key != damaged, $"{what}: it was served.");
                Assert.Equal(held, Batches.Records(read.Records).Select(record => record.Offset));
            }
            catch (LogException refusal)
            {
                Assert.True(key == damaged && refusal.Message.Contains(key, StringComparison.Ordinal), $"{what}: {refusal.Message}");
            }
        }
    }
}
