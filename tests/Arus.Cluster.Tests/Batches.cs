using System.Text;
using Arus.Compression;
using Arus.Grains;

namespace Arus.Cluster.Tests;

/// <summary>Record batches of short texts.</summary>
internal static class Batches
{
    public static ReadOnlyMemory<byte> Of(params string[] values)
    {
        using var builder = new RecordBatchBuilder();
        foreach (string value in values)
            builder.Append(1_700_000_000_000, null, Encoding.UTF8.GetBytes(value));

        return builder.Build(new RecordBatchOptions()).ToArray();
    }

    public static PartitionAppend Append(params string[] values) => new(-1, 5_000, [Of(values)]);

    public static PartitionRead Fetch(long offset, int waitMs = 0, int epoch = -1) =>
        new(offset, epoch, 1 << 20, true, waitMs, IsolationLevel.ReadUncommitted);

    /// <summary>Every record's text, by offset.</summary>
    public static List<(long Offset, string Value)> Read(PartitionReadResult response)
    {
        byte[] bytes = [.. response.Records.SelectMany(slice => slice.ToArray())];
        var records = new List<(long, string)>();
        for (int at = 0; at < bytes.Length;)
        {
            var header = new RecordBatchHeader(bytes.AsSpan(at));
            ReadOnlySpan<byte> body = bytes.AsSpan(at + RecordBatchHeader.Size, header.SizeInBytes - RecordBatchHeader.Size);
            var reader = new RecordReader(body, header.Count);
            while (reader.TryRead(out RecordView record))
                records.Add((header.BaseOffset + record.OffsetDelta, Encoding.UTF8.GetString(record.Value)));

            at += header.SizeInBytes;
        }

        return records;
    }
}
