using System.Buffers.Binary;
using System.Text;
using Arus.Compression;

namespace Arus.Storage.Tests;

/// <summary>A batch made byte by byte, whose header may say anything; its CRC is right.</summary>
internal sealed record RawBatch(params byte[][] Records)
{
    public CompressionType Compression { get; init; }

    /// <summary>Null for the records, compressed.</summary>
    public byte[]? Payload { get; init; }

    public int? Count { get; init; }

    public int? LastOffsetDelta { get; init; }

    public long BaseOffset { get; init; }

    public short Attributes { get; init; }

    public long BaseTimestamp { get; init; } = Batches.Time;

    public long? MaxTimestamp { get; init; }

    public (long Id, short Epoch, int Sequence) Producer { get; init; } = (-1, -1, -1);

    public static implicit operator ReadOnlyMemory<byte>(RawBatch batch) => batch.ToArray();

    /// <summary>A record with no headers.</summary>
    public static byte[] Record(int offsetDelta, string? value = "v", string? key = null, long timestampDelta = 0, byte attributes = 0)
    {
        byte[] body =
        [
            attributes, .. Number(timestampDelta), .. Number(offsetDelta), .. Bytes(key), .. Bytes(value), 0,
        ];
        return [.. Number(body.Length), .. body];
    }

    /// <summary>So many records with the offset deltas 0, 1, 2 and so on.</summary>
    public static byte[][] Numbered(int count) => [.. Enumerable.Range(0, count).Select(i => Record(i))];

    public static byte[] Compress(CompressionType type, byte[] payload)
    {
        using var output = new PooledBufferWriter();
        Codec.Compress(type, payload, output);
        return output.WrittenSpan.ToArray();
    }

    public byte[] ToArray()
    {
        byte[] payload = Payload ?? Compress(Compression, [.. Records.SelectMany(record => record)]);
        byte[] batch = new byte[RecordBatchHeader.Size + payload.Length];
        BinaryPrimitives.WriteInt64BigEndian(batch, BaseOffset);
        BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(8), batch.Length - RecordBatchHeader.LogOverhead);
        BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(12), -1);
        batch[16] = RecordBatchHeader.CurrentMagic;
        BinaryPrimitives.WriteInt16BigEndian(batch.AsSpan(21), (short)(Attributes | (short)Compression));
        BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(23), LastOffsetDelta ?? (Records.Length - 1));
        BinaryPrimitives.WriteInt64BigEndian(batch.AsSpan(27), BaseTimestamp);
        BinaryPrimitives.WriteInt64BigEndian(batch.AsSpan(35), MaxTimestamp ?? BaseTimestamp);
        BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(57), Count ?? Records.Length);
        payload.CopyTo(batch, RecordBatchHeader.Size);
        RecordBatches.SetProducer(batch, Producer.Id, Producer.Epoch, Producer.Sequence);
        return batch;
    }

    private static byte[] Bytes(string? text) =>
        text is null ? Number(-1) : [.. Number(Encoding.UTF8.GetByteCount(text)), .. Encoding.UTF8.GetBytes(text)];

    private static byte[] Number(long value)
    {
        byte[] bytes = new byte[Varint.MaxLength64];
        return bytes[..Varint.Write(bytes, value)];
    }
}
