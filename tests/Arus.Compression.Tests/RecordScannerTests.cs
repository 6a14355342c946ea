using Arus.Testing;
using CsCheck;

namespace Arus.Compression.Tests;

/// <summary>The walk over records agrees with <see cref="RecordReader"/> on every payload, in whatever pieces it comes.</summary>
public sealed class RecordScannerTests
{
    /// <summary>A byte removed, inserted or changed, mostly near the start, where fields are rather than the bytes of a value.</summary>
    private static readonly Gen<(int Kind, double At, byte Value)> Mutation = Gen.Select(
        Gen.Int[0, 3], Gen.OneOf(Gen.Double[0, 0.999_999], Gen.Double[0, 0.01]), Gen.OneOf(Gen.Byte, Gen.OneOf<byte>(0xFF, 1, 2, 0x80)));

    [Fact]
    public void Walk_and_reader_agree()
    {
        (int valid, int invalid) = (0, 0);
        Gen.Select(Generate.Records, Gen.Int[-1, 1], Mutation.Array[20], Gen.OneOf(1, 2, 7, 100, 5_000)).Holds(
            generated =>
            {
                (TestRecord[] records, int more, (int, double, byte)[] mutations, int piece) = generated;
                byte[] payload = Payload(records);
                Assert.Equal(records.Length, Compare(payload, records.Length, piece));
                Compare(payload, records.Length + more, piece);
                foreach ((int, double, byte) mutation in mutations)
                    Compare(Mutate(payload, mutation), records.Length, piece);
            },
            cases: 400);
        Assert.True(Seeds.Given is not null || (valid > 200 && invalid > 400), $"{valid} valid, {invalid} invalid payloads prove little.");

        int Compare(byte[] payload, int count, int piece)
        {
            var expected = new List<(int, long, int, bool)>();
            var reader = new RecordReader(payload, count);
            while (reader.TryRead(out RecordView record))
                expected.Add((expected.Count, record.TimestampDelta, record.OffsetDelta, record.IsKeyNull));

            bool isValid = reader.Problem.IsOk && reader.Position == payload.Length;
            (valid, invalid) = isValid ? (valid + 1, invalid) : (valid, invalid + 1);
            foreach (int size in (int[])[payload.Length, piece])
            {
                (ValidationResult result, List<(int, long, int, bool)> visited) = Walk(payload, count, Math.Max(1, size));
                Assert.True(isValid == result.IsOk, $"Reader {isValid}, walk {result}, pieces of {size}: {Convert.ToHexString(payload)}");
                Assert.Equal(expected, visited);
            }

            return expected.Count;
        }
    }

    [Fact]
    public void Every_prefix_of_records_is_invalid() => Gen.Select(
        Generate.Records.Where(records => records.Length < 100), Gen.Int[1, 50]).Holds(
        generated =>
        {
            (TestRecord[] records, int piece) = generated;
            byte[] payload = Payload(records);
            for (int length = 0; length < Math.Min(payload.Length, 2_000); length++)
                Assert.Equal(ErrorCode.InvalidRecord, Walk(payload[..length], records.Length, piece).Result.Error);
        },
        cases: 20);

    [Theory]
    [InlineData("0E000000010276", 1, ErrorCode.InvalidRecord)] // Cut before the header count.
    [InlineData("0E00000001027601", 1, ErrorCode.InvalidRecord)] // -1 headers.
    [InlineData("0E00000003027600", 1, ErrorCode.InvalidRecord)] // A key of -2 bytes.
    [InlineData("1400000001027680808000", 1, ErrorCode.None)] // Three bytes too many for the number 0, which is allowed.
    [InlineData("18000000010276808080808000", 1, ErrorCode.InvalidRecord)] // Six bytes for a number of 32 bits, which no Java client reads.
    [InlineData("808080808000", 1, ErrorCode.UnknownServerError)] // The same for a record's length: Kafka's code.
    [InlineData("00", 1, ErrorCode.InvalidRecord)] // A record without a byte.
    [InlineData("0E0000000102760000", 1, ErrorCode.InvalidRecord)] // A byte behind the records.
    [InlineData("", 1, ErrorCode.InvalidRecord)]
    [InlineData("0E00000001027600", 1, ErrorCode.None)]
    public void Malformed_records_have_their_codes(string payload, int count, ErrorCode error)
    {
        Assert.Equal(error, Walk(Convert.FromHexString(payload), count, piece: 1000).Result.Error);
        Assert.Equal(error, Walk(Convert.FromHexString(payload), count, piece: 1).Result.Error);
    }

    [Fact]
    public void A_large_record_takes_no_memory_of_its_size()
    {
        byte[] batch = Generate.Build(
            [new TestRecord(0, null, new byte[50_000_000], [])], new RecordBatchOptions { Compression = CompressionType.Zstd });
        using var scratch = new PooledBufferWriter();
        var visitor = new Recorder([]);
        Assert.Equal(ValidationResult.Ok, RecordBatchPayload.Walk(batch, scratch, ref visitor));
        Assert.Single(visitor.Visited);
        Assert.InRange(scratch.Capacity, 1, 1 << 20);
        Assert.Equal(ErrorCode.InvalidRecord, RecordBatchPayload.Walk(batch, scratch, ref visitor, maxRecordBytes: 50_000_000).Error);
        Assert.Equal(ErrorCode.MessageTooLarge, RecordBatchPayload.Walk(batch, scratch, ref visitor, maxBytes: 49_000_000).Error);
    }

    private static (ValidationResult Result, List<(int Index, long Timestamp, int Offset, bool IsKeyNull)> Visited) Walk(
        byte[] payload, int count, int piece)
    {
        var scanner = new RecordScanner<Recorder>(new Recorder([]), count, int.MaxValue);
        for (int at = 0; at < payload.Length && scanner.Feed(payload.AsSpan(at, Math.Min(piece, payload.Length - at))); at += piece)
        {
        }

        return (scanner.Finish(), scanner.Visitor.Visited);
    }

    private static byte[] Payload(TestRecord[] records) => Generate.Build(records, new RecordBatchOptions())[RecordBatchHeader.Size..];

    private static byte[] Mutate(byte[] payload, (int Kind, double At, byte Value) mutation)
    {
        int at = (int)(mutation.At * payload.Length);
        return mutation.Kind switch
        {
            0 => [.. payload[..at], .. payload[(at + 1)..]],
            1 => [.. payload[..at], mutation.Value, .. payload[at..]],
            2 => [.. payload[..at], (byte)(payload[at] ^ (1 << (mutation.Value & 7))), .. payload[(at + 1)..]],
            _ => [.. payload[..at], mutation.Value, .. payload[(at + 1)..]],
        };
    }

    private readonly record struct Recorder(List<(int Index, long Timestamp, int Offset, bool IsKeyNull)> Visited) : IRecordVisitor
    {
        public bool Visit(int index, long timestampDelta, int offsetDelta, bool isKeyNull)
        {
            Visited.Add((index, timestampDelta, offsetDelta, isKeyNull));
            return true;
        }
    }
}
