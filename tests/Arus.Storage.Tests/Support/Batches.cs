using System.Text;
using Arus.Compression;

namespace Arus.Storage.Tests;

/// <summary>Batches as producers send them, and what is in them.</summary>
internal static class Batches
{
    public const long Time = 1_735_689_600_000;

    public static ReadOnlyMemory<byte> Of(params string?[] values) =>
        Build(values.Select(value => ((string?)null, value)), new RecordBatchOptions());

    public static ReadOnlyMemory<byte> Keyed(params (string? Key, string? Value)[] records) => Build(records, new RecordBatchOptions());

    public static ReadOnlyMemory<byte> Idempotent(long producerId, short epoch, int sequence, int count = 1) =>
        Build(
            Enumerable.Range(0, count).Select(i => ((string?)null, (string?)$"{producerId}/{epoch}/{sequence + i}")),
            new RecordBatchOptions { ProducerId = producerId, ProducerEpoch = epoch, BaseSequence = sequence });

    /// <summary>A batch of a transaction; its records have these values, each under itself as its key.</summary>
    public static ReadOnlyMemory<byte> Transactional(long producerId, short epoch, int sequence, params string[] values) =>
        Build(
            values.Select(value => ((string?)value, (string?)value)),
            new RecordBatchOptions { ProducerId = producerId, ProducerEpoch = epoch, BaseSequence = sequence, IsTransactional = true });

    public static ReadOnlyMemory<byte> Build(
        IEnumerable<(string? Key, string? Value)> records, RecordBatchOptions options, Func<int, long>? timestamp = null)
    {
        using var builder = new RecordBatchBuilder();
        int index = 0;
        foreach ((string? key, string? value) in records)
        {
            builder.Append(timestamp?.Invoke(index) ?? Time, Bytes(key), Bytes(value));
            index++;
        }

        return builder.Build(options).ToArray();
    }

    /// <summary>A batch of one record whose bytes are exactly as many as asked.</summary>
    public static ReadOnlyMemory<byte> Sized(int size, long timestamp = Time)
    {
        int payload = size - RecordBatchHeader.Size - 8;
        while (true)
        {
            ReadOnlyMemory<byte> batch = Build([(null, new string('x', payload))], new RecordBatchOptions(), _ => timestamp);
            if (batch.Length == size)
                return batch;

            payload += size - batch.Length;
        }
    }

    public static List<(long Offset, string? Key, string? Value)> Records(IEnumerable<ReadOnlyMemory<byte>> slices)
    {
        var records = new List<(long, string?, string?)>();
        using var scratch = new PooledBufferWriter();
        foreach (ReadOnlyMemory<byte> slice in slices)
        {
            ReadOnlyMemory<byte> rest = slice;
            while (!rest.IsEmpty)
            {
                BatchReadStatus status = RecordBatches.TryReadNext(ref rest, int.MaxValue, out ReadOnlyMemory<byte> batch, out _);
                Assert.Equal(BatchReadStatus.Batch, status);
                Assert.True(RecordBatches.Validate(batch.Span).IsOk);
                Assert.True(RecordBatchPayload.TryOpen(batch, scratch, out ReadOnlyMemory<byte> payload).IsOk);
                var header = new RecordBatchHeader(batch.Span);
                var reader = new RecordReader(payload.Span, header.Count);
                while (reader.TryRead(out RecordView record))
                {
                    records.Add((
                        header.BaseOffset + record.OffsetDelta,
                        record.IsKeyNull ? null : Encoding.UTF8.GetString(record.Key),
                        record.IsValueNull ? null : Encoding.UTF8.GetString(record.Value)));
                }

                Assert.True(reader.Problem.IsOk);
            }
        }

        return records;
    }

    private static ReadOnlyMemory<byte>? Bytes(string? text) =>
        text is null ? (ReadOnlyMemory<byte>?)null : Encoding.UTF8.GetBytes(text);
}
