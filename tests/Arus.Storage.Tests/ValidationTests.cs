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
        Assert.Equal(ErrorCode.InvalidRecord, (await TryAsync(new byte[5])).Error);
        Assert.Equal(ErrorCode.CorruptMessage, (await TryAsync(new byte[12])).Error);
        for (int cut = 12; cut < RecordBatchHeader.Size + 5; cut++)
            Assert.Equal(ErrorCode.InvalidRecord, (await TryAsync(Batches.Of("a")[..cut])).Error);

        Assert.Equal(ErrorCode.InvalidRecord, (await TryAsync(Batches.Of("a")[..^1])).Error);
        Assert.Equal(ErrorCode.CorruptMessage, (await TryAsync(Changed(batch => batch[^1] ^= 1, fixCrc: false))).Error);
        Assert.Equal(ErrorCode.CorruptMessage, (await TryAsync(Changed(batch => batch[16] = 3))).Error);
        Assert.Equal(ErrorCode.CorruptMessage, (await TryAsync(Changed(batch => batch[16] = 0xFF))).Error);
        Assert.Equal(ErrorCode.CorruptMessage, (await TryAsync(Changed(batch => batch[11] = 48))).Error);
        Assert.Equal(ErrorCode.CorruptMessage, (await TryAsync(Changed(batch => batch[8] = 0xFF))).Error);
        LogAppendResult old = await TryAsync(Changed(batch => batch[16] = 1));
        Assert.Equal(ErrorCode.InvalidRecord, old.Error);
        Assert.Contains("magic 1", old.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_first_thing_that_is_wrong_has_its_code()
    {
        byte[] batch = Batches.Sized(501).ToArray();
        batch[^1] ^= 1;
        Assert.Equal(ErrorCode.MessageTooLarge, (await TryAsync(batch, ("max.message.bytes", "500"))).Error);
        Assert.Equal(ErrorCode.InvalidRecord, (await TryAsync(batch.AsMemory(0, 500), ("max.message.bytes", "400"))).Error);
        Assert.Equal(ErrorCode.CorruptMessage, (await TryAsync(batch)).Error);
        RecordBatches.SetBaseOffset(batch, 5);
        Assert.Equal(ErrorCode.InvalidRecord, (await TryAsync(batch, ("max.message.bytes", "500"))).Error);
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
