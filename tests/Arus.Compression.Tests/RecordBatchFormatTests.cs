using System.Buffers.Binary;
using System.Text;
using Arus.Testing;

namespace Arus.Compression.Tests;

/// <summary>The format itself, byte by byte, and what is refused.</summary>
public class RecordBatchFormatTests
{
    /// <summary>
    /// Two records, written by hand from Kafka's message format page. The CRC was computed by the table of RFC 3720's polynomial, which
    /// the known-answer tests hold.
    /// </summary>
    private const string Golden =
        "0000000000000007" // base offset 7
        + "00000056" // batch length 86: 49 bytes of header and 37 of records
        + "00000003" // partition leader epoch
        + "02" // magic
        + "4827B550" // CRC-32C
        + "0000" // attributes: not compressed, CreateTime
        + "00000001" // last offset delta
        + "0000018BCFE56800" // base timestamp 1700000000000
        + "0000018BCFE56805" // max timestamp, 5 ms later
        + "0000000000001234" + "0005" + "00000009" // producer id, epoch, base sequence
        + "00000002" // records
        // 17 bytes: key "key", value "value", header "h" null; 18 bytes: null key, empty value, header.
        + "22" + "00" + "00" + "00" + "06" + "6B6579" + "0A" + "76616C7565" + "02" + "02" + "68" + "01"
        + "24" + "00" + "0A" + "02" + "01" + "00" + "02" + "10" + "68C3A4646572C3A4" + "04" + "0102";

    [Fact]
    public void Writes_the_golden_bytes()
    {
        using var builder = new RecordBatchBuilder();
        builder.Append(1_700_000_000_000, "key"u8.ToArray(), "value"u8.ToArray(), [new RecordHeader("h", null)]);
        builder.Append(1_700_000_000_005, null, Array.Empty<byte>(), [new RecordHeader("häderä", new byte[] { 1, 2 })]);
        Memory<byte> batch = builder.Build(new RecordBatchOptions
        {
            BaseOffset = 7, PartitionLeaderEpoch = 3, ProducerId = 0x1234, ProducerEpoch = 5, BaseSequence = 9,
        });
        Assert.Equal(Golden, Convert.ToHexString(batch.Span));
    }

    [Fact]
    public void Reads_the_golden_bytes()
    {
        byte[] batch = Convert.FromHexString(Golden);
        Assert.Equal(ValidationResult.Ok, RecordBatches.Validate(batch));
        var header = new RecordBatchHeader(batch);
        Assert.Equal((7L, 98, 3, (byte)2), (header.BaseOffset, header.SizeInBytes, header.PartitionLeaderEpoch, header.Magic));
        Assert.Equal((1, 8L, 9L), (header.LastOffsetDelta, header.LastOffset, header.NextOffset));
        Assert.Equal((1_700_000_000_000, 1_700_000_000_005), (header.BaseTimestamp, header.MaxTimestamp));
        Assert.Equal((0x1234L, (short)5), (header.ProducerId, header.ProducerEpoch));
        Assert.Equal((9, 10, 2), (header.BaseSequence, header.LastSequence, header.Count));
        Assert.False(header.IsControl || header.IsTransactional || header.HasDeleteHorizon);
        var reader = new RecordReader(batch.AsSpan(RecordBatchHeader.Size), header.Count);
        Assert.True(reader.TryRead(out RecordView first));
        Assert.Equal("key=value", $"{Encoding.UTF8.GetString(first.Key)}={Encoding.UTF8.GetString(first.Value)}");
        Assert.Null(Assert.Single(HeadersOf(batch, first)).Value);
        Assert.True(reader.TryRead(out RecordView second));
        Assert.Equal((true, false, 0), (second.IsKeyNull, second.IsValueNull, second.ValueLength));
        Assert.Equal((5L, 1), (second.TimestampDelta, second.OffsetDelta));
        RecordHeader some = Assert.Single(HeadersOf(batch, second));
        Assert.Equal(("häderä", 2), (some.Key, some.Value!.Value.Length));
        Assert.False(reader.TryRead(out _));
        Assert.True(reader.Problem.IsOk);
    }

    [Fact]
    public void A_prefix_of_a_batch_consumes_nothing()
    {
        byte[] two = Convert.FromHexString(Golden + Golden);
        for (int length = 0; length < 98; length++)
        {
            ReadOnlyMemory<byte> prefix = two.AsMemory(0, length);
            Assert.Equal(BatchReadStatus.Incomplete, RecordBatches.TryReadNext(ref prefix, 1000, out ReadOnlyMemory<byte> none, out _));
            Assert.Equal((length, 0), (prefix.Length, none.Length));
        }

        ReadOnlyMemory<byte> rest = two;
        Assert.Equal(BatchReadStatus.Batch, RecordBatches.TryReadNext(ref rest, 98, out ReadOnlyMemory<byte> batch, out _));
        Assert.Equal((98, 98), (batch.Length, rest.Length));
        Assert.Equal(BatchReadStatus.Invalid, RecordBatches.TryReadNext(ref rest, 97, out _, out ValidationResult problem));
        Assert.Equal((ErrorCode.MessageTooLarge, 98), (problem.Error, rest.Length));
    }

    [Fact]
    public void Any_flipped_bit_that_the_CRC_covers_is_found()
    {
        byte[] good = Convert.FromHexString(Golden);
        for (int at = 16; at < good.Length; at++)
        {
            for (int bit = 0; bit < 8; bit++)
            {
                byte[] bad = [.. good];
                bad[at] ^= (byte)(1 << bit);
                Assert.False(RecordBatches.Validate(bad).IsOk, $"byte {at}, bit {bit}");
            }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Names_the_old_format_that_it_refuses(byte magic)
    {
        byte[] batch = Convert.FromHexString(Golden);
        batch[16] = magic;
        ValidationResult result = RecordBatches.Validate(batch);
        Assert.Equal(ErrorCode.UnsupportedForMessageFormat, result.Error);
        Assert.Contains($"magic {magic}", result.Message, StringComparison.Ordinal);

        // An old message set can be shorter than any batch.
        ReadOnlyMemory<byte> old = batch.AsMemory(0, 34);
        Assert.Equal(BatchReadStatus.Invalid, RecordBatches.TryReadNext(ref old, 1000, out _, out ValidationResult problem));
        Assert.Equal(ErrorCode.UnsupportedForMessageFormat, problem.Error);
    }

    [Fact]
    public void Refuses_counts_that_do_not_fit_together()
    {
        Assert.Equal(ErrorCode.CorruptMessage, Patched(57, 3).Error);
        Assert.Equal(ErrorCode.CorruptMessage, Patched(57, -1).Error);
        Assert.Equal(ErrorCode.CorruptMessage, Patched(23, -1).Error);
        Assert.Equal(ErrorCode.CorruptMessage, Patched(8, 85).Error);

        // Gaps are what compaction leaves; a producer has none.
        Assert.Equal(ErrorCode.InvalidRecord, Patched(57, 1).Error);
        Assert.Equal(ErrorCode.InvalidRecord, Patched(57, 0).Error);
    }

    [Fact]
    public void Refuses_what_producers_may_not_send()
    {
        static ErrorCode Check(RecordBatchOptions options, short attributes = 0)
        {
            using var builder = new RecordBatchBuilder();
            builder.Append(1, null, null);
            Span<byte> batch = builder.Build(options).Span;
            BinaryPrimitives.WriteInt16BigEndian(batch[21..], (short)(BinaryPrimitives.ReadInt16BigEndian(batch[21..]) | attributes));
            return RecordBatches.ValidateForAppend(new RecordBatchHeader(batch)).Error;
        }

        Assert.Equal(ErrorCode.None, Check(new RecordBatchOptions()));
        Assert.Equal(ErrorCode.InvalidRecord, Check(new RecordBatchOptions { IsControl = true }));
        Assert.Equal(ErrorCode.InvalidRecord, Check(new RecordBatchOptions { IsTransactional = true }));
        Assert.Equal(ErrorCode.InvalidRecord, Check(new RecordBatchOptions { ProducerId = 4 }));
        Assert.Equal(ErrorCode.UnsupportedCompressionType, Check(new RecordBatchOptions(), attributes: 5));
    }

    [Fact]
    public void A_leader_changes_offset_epoch_and_time_in_place()
    {
        byte[] batch = Convert.FromHexString(Golden);
        RecordBatches.SetBaseOffset(batch, 1L << 40);
        RecordBatches.SetPartitionLeaderEpoch(batch, 77);
        Assert.Equal(ValidationResult.Ok, RecordBatches.Validate(batch));
        RecordBatches.SetLogAppendTime(batch, 1_800_000_000_000);
        RecordBatches.SetProducer(batch, 5, 6, 7);
        Assert.Equal(ValidationResult.Ok, RecordBatches.Validate(batch));
        var header = new RecordBatchHeader(batch);
        Assert.Equal((1L << 40, 77, TimestampType.LogAppendTime, 1_800_000_000_000), (
            header.BaseOffset, header.PartitionLeaderEpoch, header.TimestampType, header.MaxTimestamp));
        Assert.Equal((5L, (short)6, 7), (header.ProducerId, header.ProducerEpoch, header.BaseSequence));
    }

    [Fact]
    public void Malformed_records_are_refused_and_never_read_past_the_end()
    {
        byte[] good = Convert.FromHexString(Golden);
        using var scratch = new PooledBufferWriter();
        Assert.Equal(ValidationResult.Ok, Walk(good));
        Generate.Flips.Holds(
            flips =>
            {
                byte[] bad = Generate.Flip(good, flips, from: RecordBatchHeader.Size);

                // Validation ends with some result, and records that it accepts can be read to the end.
                if (Walk(bad).IsOk)
                    ReadToTheEnd(bad);
            },
            cases: 3_000);
        for (int cut = RecordBatchHeader.Size; cut < good.Length; cut++)
            Assert.Equal(ErrorCode.InvalidRecord, Walk(good.AsSpan(0, cut)).Error);

        ValidationResult Walk(ReadOnlySpan<byte> batch)
        {
            var count = new RecordCount();
            return RecordBatchPayload.Walk(batch, scratch, ref count);
        }
    }

    private static void ReadToTheEnd(byte[] batch)
    {
        var reader = new RecordReader(batch.AsSpan(RecordBatchHeader.Size), 2);
        while (reader.TryRead(out RecordView record))
            Assert.Equal(record.HeaderCount, HeadersOf(batch, record).Length);

        Assert.True(reader.Problem.IsOk);
    }

    private static RecordHeader[] HeadersOf(byte[] batch, RecordView record) =>
        RecordReader.ReadHeaders(batch.AsMemory(RecordBatchHeader.Size), record.HeadersOffset, record.HeaderCount);

    [Fact]
    public void Compaction_copies_records_under_their_old_offsets()
    {
        byte[] source = Convert.FromHexString(Golden);
        ReadOnlySpan<byte> payload = source.AsSpan(RecordBatchHeader.Size);
        var reader = new RecordReader(payload, 2);
        reader.TryRead(out _);
        reader.TryRead(out RecordView second);
        using var builder = new RecordBatchBuilder();
        builder.Reset(1_700_000_000_000);
        builder.AppendCopy(second.OffsetDelta, 1_700_000_000_005, second, payload);
        Memory<byte> copy = builder.Build(new RecordBatchOptions { BaseOffset = 7, LastOffsetDelta = 4 });
        Assert.Equal(ValidationResult.Ok, RecordBatches.Validate(copy.Span));
        var header = new RecordBatchHeader(copy.Span);
        Assert.Equal((1, 11L, 12L), (header.Count, header.LastOffset, header.NextOffset));
        Assert.True(copy.Span[RecordBatchHeader.Size..].SequenceEqual(payload[18..]));
    }

    [Fact]
    public void Transaction_markers_have_the_bytes_that_clients_decode()
    {
        using var builder = new RecordBatchBuilder();
        Memory<byte> marker = ControlRecord.BuildMarker(builder, ControlRecordType.Commit, 9, 2, 12, 1000);
        var header = new RecordBatchHeader(marker.Span);
        Assert.True(header.IsControl && header.IsTransactional);
        Assert.Equal(
            "20" + "00" + "00" + "00" + "08" + "00000001" + "0C" + "00000000000C" + "00",
            Convert.ToHexString(marker.Span[RecordBatchHeader.Size..]));
    }

    /// <summary>The golden batch with one int changed and a CRC that fits, checked as a producer's.</summary>
    private static ValidationResult Patched(int at, int value)
    {
        byte[] batch = Convert.FromHexString(Golden);
        BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(at), value);
        RecordBatches.WriteCrc(batch);
        ValidationResult result = RecordBatches.Validate(batch);
        return result.IsOk ? RecordBatches.ValidateForAppend(new RecordBatchHeader(batch)) : result;
    }
}
