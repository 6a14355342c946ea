using Arus.Compression;

namespace Arus.Storage.Tests;

/// <summary>Producers that leave the header's greatest timestamp unset, as sarama 1.22 does.</summary>
public sealed class UnsetMaxTimestampTests
{
    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    public async Task The_leader_sets_it_and_records_are_found_by_time(CompressionType compression)
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        for (int i = 0; i < 3; i++)
        {
            await log.MustAppendAsync(WithoutMaxTimestamp(compression, Batches.Time + (1000 * i)));
        }

        LogTimestamp? found = await log.FindByTimestampAsync(Batches.Time + 1500);
        Assert.Equal((4L, Batches.Time + 2000), (found?.Offset, found?.Timestamp));
        Assert.Equal(Batches.Time + 2000, (await log.FindMaxTimestampAsync())?.Timestamp);

        LogReadResult read = await log.ReadAsync(0, 1 << 20, minOneBatch: true);
        foreach (ReadOnlyMemory<byte> slice in read.Records)
        {
            ReadOnlyMemory<byte> rest = slice;
            while (!rest.IsEmpty)
            {
                Assert.Equal(BatchReadStatus.Batch, RecordBatches.TryReadNext(ref rest, 1 << 20, out ReadOnlyMemory<byte> batch, out _));
                Assert.True(RecordBatches.Validate(batch.Span).IsOk);
            }
        }
    }

    private static byte[] WithoutMaxTimestamp(CompressionType compression, long timestamp)
    {
        byte[] batch = Batches.Build([(null, "a"), (null, "b")], new RecordBatchOptions { Compression = compression }, _ => timestamp).ToArray();
        RecordBatches.SetMaxTimestamp(batch, RecordBatchHeader.NoTimestamp);
        return batch;
    }
}
