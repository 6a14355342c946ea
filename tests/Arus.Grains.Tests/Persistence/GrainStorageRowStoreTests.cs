using System.Text;
using Arus.Compression;
using Arus.Storage;
using Arus.Storage.Rows;

namespace Arus.Grains.Tests;

/// <summary>The log over rows of a real grain storage: two activations of one partition write at once.</summary>
public sealed class GrainStorageRowStoreTests : IDisposable
{
    private static readonly TopicPartition Partition = new("orders", 0);
    private static readonly Guid TopicId = new("00000000-0000-0000-0000-000000000007");
    private static readonly TopicConfig Config = TopicConfig.Resolve(new Dictionary<string, string>(), BrokerConfig.Default);
    private static readonly RowLogOptions Options = new() { MergeRows = 4, RowsPerCheckpoint = 5 };

    private readonly string _directory = Directory.CreateTempSubdirectory("arus-rows-").FullName;
    private readonly FileGrainStorage _storage;

    public GrainStorageRowStoreTests() =>
        _storage = new FileGrainStorage("test", new FileGrainStorageOptions { Directory = _directory });

    public void Dispose()
    {
        _storage.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task Rows_are_written_once_and_the_head_by_its_etag()
    {
        var store = new GrainStorageRowStore(_storage, Partition, TopicId);
        Assert.True(await store.TryInsertAsync("r1", new byte[] { 1 }));
        Assert.False(await store.TryInsertAsync("r1", new byte[] { 2 }));
        Assert.Equal([1], (await store.ReadAsync("r1"))!.Value.ToArray());
        Assert.Null(await store.ReadAsync("r2"));
        await store.DeleteAsync("r1");
        await store.DeleteAsync("r1");
        Assert.Null(await store.ReadAsync("r1"));

        Assert.Null(await store.ReadHeadAsync(LogHead.Rows));
        string? etag = await store.TryWriteHeadAsync(LogHead.Rows, new byte[] { 3 }, null);
        Assert.NotNull(etag);
        Assert.Null(await store.TryWriteHeadAsync(LogHead.Rows, new byte[] { 4 }, null));
        Assert.Null(await store.TryWriteHeadAsync(LogHead.Rows, new byte[] { 4 }, "no such tag"));
        Assert.NotNull(await store.TryWriteHeadAsync(LogHead.Rows, new byte[] { 5 }, etag));
        Assert.Equal([5], (await store.ReadHeadAsync(LogHead.Rows))!.Bytes.ToArray());
        await store.DeleteHeadAsync(LogHead.Rows);
        Assert.Null(await store.ReadHeadAsync(LogHead.Rows));
    }

    [Fact]
    public async Task The_newer_of_two_activations_goes_on_behind_what_the_older_wrote()
    {
        RowPartitionLog older = await OpenAsync();
        for (int i = 0; i < 7; i++)
            Assert.Equal(i, await AppendAsync(older, $"old {i}", 1));

        RowPartitionLog newer = await OpenAsync();
        Assert.Equal(7, await AppendAsync(older, "late", 1));
        Assert.Equal(8, await AppendAsync(newer, "new", 2));
        LogAppendResult refused = (await older.AppendAsync([Batch("lost")], 1))[0];
        Assert.Equal(ErrorCode.FencedLeaderEpoch, refused.Error);
        await newer.MaintainAsync();
        Assert.Equal(1, newer.SegmentCount);
        await newer.DisposeAsync();

        RowPartitionLog again = await OpenAsync();
        LogReadResult read = await again.ReadAsync(0, 1 << 20, minOneBatch: true);
        Assert.Equal((9L, ErrorCode.None), (again.LogEndOffset, read.Error));
        string all = Encoding.UTF8.GetString(read.Records[0].Span);
        Assert.Contains("late", all, StringComparison.Ordinal);
        Assert.Contains("new", all, StringComparison.Ordinal);
        Assert.DoesNotContain("lost", all, StringComparison.Ordinal);
        await again.DeleteAsync();
        Assert.Equal(0, (await OpenAsync()).LogEndOffset);
    }

    private Task<RowPartitionLog> OpenAsync() =>
        RowPartitionLog.OpenAsync(Partition, new GrainStorageRowStore(_storage, Partition, TopicId), Config, Options);

    private static async Task<long> AppendAsync(RowPartitionLog log, string value, int epoch)
    {
        LogAppendResult result = (await log.AppendAsync([Batch(value)], epoch))[0];
        Assert.True(result.Error == ErrorCode.None, result.Message);
        return result.BaseOffset;
    }

    private static ReadOnlyMemory<byte> Batch(string value)
    {
        using var builder = new RecordBatchBuilder();
        builder.Append(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), null, Encoding.UTF8.GetBytes(value));
        return builder.Build(new RecordBatchOptions()).ToArray();
    }
}
