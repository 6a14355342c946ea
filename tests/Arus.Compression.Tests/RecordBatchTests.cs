using System.Text;

namespace Arus.Compression.Tests;

public class RecordBatchTests
{

    [Fact]
    public void Round_trips_random_batches()
    {
        int seed = 4711;
        var random = new Random(seed);
        using var builder = new RecordBatchBuilder();
        using var scratch = new PooledBufferWriter();
        for (int round = 0; round < 300; round++)
        {
            var expected = new List<(long Timestamp, byte[]? Key, byte[]? Value, RecordHeader[] Headers)>();
            builder.Reset();
            int count = random.Next(1, 40);
            for (int i = 0; i < count; i++)
            {
                var headers = new RecordHeader[random.Next(4)];
                for (int h = 0; h < headers.Length; h++)
                {
                    headers[h] = new RecordHeader($"hä{random.Next(100)}", Bytes(random, 30) is { } value ? new ReadOnlyMemory<byte>(value) : null);
                }

                (long, byte[]?, byte[]?, RecordHeader[]) record =
                    (1_700_000_000_000 + random.Next(-100_000, 100_000), Bytes(random, 40), Bytes(random, 400), headers);
                expected.Add(record);
                builder.Append(record.Item1, record.Item2, record.Item3, headers);
            }

            var options = new RecordBatchOptions
            {
                Compression = (CompressionType)random.Next(5),
                BaseOffset = random.NextInt64(1L << 50),
                PartitionLeaderEpoch = random.Next(),
                ProducerId = random.NextInt64(1L << 40),
                ProducerEpoch = (short)random.Next(short.MaxValue),
                BaseSequence = random.Next(),
                IsTransactional = random.Next(2) == 0,
            };
            ReadOnlyMemory<byte> batch = builder.Build(options);
            string where = $"seed {seed}, round {round}";
            Assert.True(RecordBatches.Validate(batch.Span).IsOk, where);
            var header = new RecordBatchHeader(batch.Span);
            Assert.True(RecordBatches.ValidateForAppend(header).IsOk, where);
            Assert.Equal(options.BaseOffset, header.BaseOffset);
            Assert.Equal(options.PartitionLeaderEpoch, header.PartitionLeaderEpoch);
            Assert.Equal(options.ProducerId, header.ProducerId);
            Assert.Equal(options.ProducerEpoch, header.ProducerEpoch);
            Assert.Equal(options.BaseSequence, header.BaseSequence);
            Assert.Equal(options.IsTransactional, header.IsTransactional);
            Assert.Equal(options.Compression, header.Compression);
            Assert.Equal(expected.Max(r => r.Timestamp), header.MaxTimestamp);
            Assert.Equal(expected[0].Timestamp, header.BaseTimestamp);
            Assert.Equal(ValidationResult.Ok, RecordBatchPayload.Validate(batch, scratch, requireKeys: false, out _));
            AssertRecords(batch, scratch, expected, where);
        }
    }

    private static void AssertRecords(
        ReadOnlyMemory<byte> batch, PooledBufferWriter scratch,
        List<(long Timestamp, byte[]? Key, byte[]? Value, RecordHeader[] Headers)> expected, string where)
    {
        Assert.True(RecordBatchPayload.TryOpen(batch, scratch, out ReadOnlyMemory<byte> payload).IsOk, where);
        var header = new RecordBatchHeader(batch.Span);
        var reader = new RecordReader(payload.Span, header.Count);
        int i = 0;
        for (; reader.TryRead(out RecordView record); i++)
        {
            Assert.Equal(i, record.OffsetDelta);
            Assert.Equal(expected[i].Timestamp, header.BaseTimestamp + record.TimestampDelta);
            Assert.Equal(expected[i].Key, record.IsKeyNull ? null : record.Key.ToArray());
            Assert.Equal(expected[i].Value, record.IsValueNull ? null : record.Value.ToArray());
            Assert.Equal(expected[i].Headers.Length, record.HeaderCount);
            RecordHeaderReader headers = record.Headers;
            foreach (RecordHeader want in expected[i].Headers)
            {
                Assert.True(headers.TryRead(out RecordHeaderView found), where);
                Assert.Equal(want.Key, Encoding.UTF8.GetString(found.Key));
                Assert.Equal(want.Value is null, found.IsValueNull);
                Assert.True(found.Value.SequenceEqual(want.Value.GetValueOrDefault().Span), where);
            }

            Assert.False(headers.TryRead(out _));
        }

        Assert.True(reader.Problem.IsOk, where);
        Assert.Equal(expected.Count, i);
        Assert.Equal(payload.Length, reader.Position);
    }

    private static byte[]? Bytes(Random random, int max)
    {
        int length = random.Next(-1, max);
        if (length < 0)
        {
            return null;
        }

        byte[] bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }
}
