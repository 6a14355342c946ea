using System.Text;
using Arus.Testing;
using CsCheck;

namespace Arus.Compression.Tests;

public class RecordBatchTests
{
    private static readonly Gen<RecordBatchOptions> Options = Gen.Select(
        Gen.Select(Gen.Enum<CompressionType>(), Gen.Long[0, 1L << 50], Gen.Int.NonNegative, Gen.Bool),
        Gen.Select(Gen.Long[0, 1L << 40], Gen.Short[0, short.MaxValue], Gen.Int.NonNegative),
        (batch, producer) => new RecordBatchOptions
        {
            Compression = batch.Item1,
            BaseOffset = batch.Item2,
            PartitionLeaderEpoch = batch.Item3,
            IsTransactional = batch.Item4,
            ProducerId = producer.Item1,
            ProducerEpoch = producer.Item2,
            BaseSequence = producer.Item3,
        });

    [Fact]
    public void Any_batch_is_read_as_it_was_built() => Gen.Select(Generate.Records, Options).Holds(
        generated =>
        {
            (TestRecord[] expected, RecordBatchOptions options) = generated;
            byte[] batch = Generate.Build(expected, options);
            Assert.Equal(ValidationResult.Ok, RecordBatches.Validate(batch));
            var header = new RecordBatchHeader(batch);
            Assert.Equal(ValidationResult.Ok, RecordBatches.ValidateForAppend(header));
            Assert.Equal(options.BaseOffset, header.BaseOffset);
            Assert.Equal(options.PartitionLeaderEpoch, header.PartitionLeaderEpoch);
            Assert.Equal(options.ProducerId, header.ProducerId);
            Assert.Equal(options.ProducerEpoch, header.ProducerEpoch);
            Assert.Equal(options.BaseSequence, header.BaseSequence);
            Assert.Equal(options.IsTransactional, header.IsTransactional);
            Assert.Equal(options.Compression, header.Compression);
            Assert.Equal(expected.Max(r => r.Timestamp), header.MaxTimestamp);
            Assert.Equal(expected[0].Timestamp, header.BaseTimestamp);
            using var scratch = new PooledBufferWriter();
            var count = new RecordCount();
            Assert.Equal(ValidationResult.Ok, RecordBatchPayload.Walk(batch, scratch, ref count));
            Assert.Equal((expected.Length, expected.Count(record => record.Key is null)), (count.Records, count.NullKeys));
            Assert.Equal(ValidationResult.Ok, RecordBatchPayload.TryOpen(batch, scratch, out ReadOnlyMemory<byte> payload));
            AssertRecords(expected, header, payload);
        },
        cases: 300);

    private static void AssertRecords(TestRecord[] expected, RecordBatchHeader header, ReadOnlyMemory<byte> payload)
    {
        var reader = new RecordReader(payload.Span, header.Count);
        int i = 0;
        for (; reader.TryRead(out RecordView record); i++)
        {
            Assert.Equal(i, record.OffsetDelta);
            Assert.Equal(expected[i].Timestamp, header.BaseTimestamp + record.TimestampDelta);
            Assert.Equal(expected[i].Key, record.IsKeyNull ? null : record.Key.ToArray());
            Assert.Equal(expected[i].Value, record.IsValueNull ? null : record.Value.ToArray());
            RecordHeader[] headers = RecordReader.ReadHeaders(payload, record.HeadersOffset, record.HeaderCount);
            Assert.Equal(expected[i].Headers.Select(header => header.Name), headers.Select(header => header.Key));
            Assert.Equal(expected[i].Headers.Select(header => header.Value), headers.Select(header => header.Value?.ToArray()));
        }

        Assert.Equal(ValidationResult.Ok, reader.Problem);
        Assert.Equal(expected.Length, i);
        Assert.Equal(payload.Length, reader.Position);
    }
}
