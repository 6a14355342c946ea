using System.Buffers.Binary;
using Arus.Compression;

namespace Arus.Storage.Tests;

public sealed class ValidationTests
{
    private static async Task<LogAppendResult> TryAsync(ReadOnlyMemory<byte> entry, params (string Key, string Value)[] config)
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync(LogExtensions.Config(config));
        LogAppendResult result = await log.AppendOneAsync(entry);
        Assert.Equal(result.Error == ErrorCode.None, log.LogEndOffset > 0);
        Assert.Equal(result.Error == ErrorCode.None, result.Message is null);
        return result;
    }

    private static byte[] Changed(Action<byte[]> change, bool fixCrc = true)
    {
        byte[] batch = Batches.Of("a", "b").ToArray();
        change(batch);
        if (fixCrc)
            RecordBatches.WriteCrc(batch);

        return batch;
    }

    [Fact]
    public async Task Bytes_that_are_no_batch_are_refused()
    {
        Assert.Equal(ErrorCode.InvalidRecord, (await TryAsync(ReadOnlyMemory<byte>.Empty)).Error);
        Assert.Equal(ErrorCode.CorruptMessage, (await TryAsync(new byte[5])).Error);
        Assert.Equal(ErrorCode.CorruptMessage, (await TryAsync(Batches.Of("a")[..^1])).Error);
        Assert.Equal(ErrorCode.CorruptMessage, (await TryAsync(Changed(batch => batch[^1] ^= 1, fixCrc: false))).Error);
        Assert.Equal(ErrorCode.UnsupportedForMessageFormat, (await TryAsync(Changed(batch => batch[16] = 1))).Error);
    }

    [Fact]
    public async Task A_batch_larger_than_the_limit_is_refused()
    {
        Assert.Equal(ErrorCode.MessageTooLarge, (await TryAsync(Batches.Sized(501), ("max.message.bytes", "500"))).Error);
        Assert.Equal(ErrorCode.None, (await TryAsync(Batches.Sized(500), ("max.message.bytes", "500"))).Error);
        Assert.Equal(ErrorCode.RecordListTooLarge, (await TryAsync(Batches.Sized(1025), ("internal.segment.bytes", "1024"))).Error);
    }

    [Fact]
    public async Task Clients_may_not_write_control_or_transactional_batches()
    {
        Assert.Equal(ErrorCode.InvalidRecord, (await TryAsync(Changed(batch => batch[22] |= 0x20))).Error);
        LogAppendResult result = await TryAsync(Batches.Build(
            [(null, "a")], new RecordBatchOptions { ProducerId = 1, ProducerEpoch = 0, BaseSequence = 0, IsTransactional = true }));
        Assert.Equal(ErrorCode.InvalidTxnState, result.Error);
        Assert.Contains("transactional", result.Message, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task Records_that_do_not_fit_their_batch_are_refused()
    {
        byte[] fewer = Changed(batch => BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(57), 1));
        Assert.Equal(ErrorCode.InvalidRecord, (await TryAsync(fewer)).Error);
        LogAppendResult result = await TryAsync(Changed(batch => batch[RecordBatchHeader.Size + 3] = 8));
        Assert.Equal(ErrorCode.InvalidRecord, result.Error);
        Assert.Equal(0, Assert.Single(result.RecordErrors!).RecordIndex);
    }

    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    public async Task A_compacted_topic_needs_keys(CompressionType compression)
    {
        ReadOnlyMemory<byte> batch = Batches.Build([("k", "a"), (null, "b")], new RecordBatchOptions { Compression = compression });
        LogAppendResult result = await TryAsync(batch, ("cleanup.policy", "compact"));
        Assert.Equal(ErrorCode.InvalidRecord, result.Error);
        Assert.Equal(1, Assert.Single(result.RecordErrors!).RecordIndex);
        Assert.Equal(ErrorCode.None, (await TryAsync(batch)).Error);
    }

    [Fact]
    public async Task Timestamps_too_far_from_the_clock_are_refused()
    {
        // The fixture's clock shows Batches.Time.
        ReadOnlyMemory<byte> At(long delta) =>
            Batches.Build([(null, "a"), (null, "b")], new RecordBatchOptions(), i => Batches.Time + (i * delta));
        Assert.Equal(ErrorCode.None, (await TryAsync(At(3_600_000))).Error);
        LogAppendResult result = await TryAsync(At(3_600_001));
        Assert.Equal(ErrorCode.InvalidTimestamp, result.Error);
        Assert.Contains("message.timestamp.after.max.ms=3600000", result.Message, StringComparison.Ordinal);
        result = await TryAsync(At(-1001), ("message.timestamp.before.max.ms", "1000"));
        Assert.Equal(ErrorCode.InvalidTimestamp, result.Error);
        Assert.Equal(1, Assert.Single(result.RecordErrors!).RecordIndex);
        Assert.Equal(ErrorCode.None, (await TryAsync(At(-1000), ("message.timestamp.before.max.ms", "1000"))).Error);
    }

    [Fact]
    public async Task A_replica_keeps_the_leaders_offsets_and_epochs()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        byte[] batch = Batches.Of("a", "b").ToArray();
        RecordBatches.SetBaseOffset(batch, 10);
        RecordBatches.SetPartitionLeaderEpoch(batch, 4);
        LogAppendResult[] results = await log.AppendAsync([batch], 9, AppendOrigin.Replica);
        Assert.Equal((ErrorCode.None, 10L), (results[0].Error, results[0].BaseOffset));
        Assert.Equal((12, 4), (log.LogEndOffset, log.LatestEpoch));
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await log.AppendAsync([batch], 9, AppendOrigin.Replica))[0].Error);
        Assert.Equal([10L, 11L], (await log.ReadAllAsync(10)).Select(record => record.Offset));
    }
}
