using CsCheck;

namespace Arus.Compression.Tests;

/// <summary>A record as a test sees it.</summary>
internal sealed record TestRecord(long Timestamp, byte[]? Key, byte[]? Value, (string Name, byte[]? Value)[] Headers);

/// <summary>Counts the records of a walk.</summary>
internal struct RecordCount : IRecordVisitor
{
    public int Records { get; private set; }

    public int NullKeys { get; private set; }

    public bool Visit(int index, long timestampDelta, int offsetDelta, bool isKeyNull)
    {
        Records++;
        NullKeys += isKeyNull ? 1 : 0;
        return true;
    }
}

/// <summary>Generators of records, of data to compress and of damage.</summary>
internal static class Generate
{
    private static readonly Gen<(string, byte[]?)[]> Headers = Gen.Frequency(
        (3, Gen.Const<(string, byte[]?)[]>([])),
        (1, Gen.Select(Gen.OneOf("", "h", "hä", "content-type"), Bytes(30)).Array[0, 4]));

    private static readonly Gen<TestRecord> Record = Gen.Select(
        Gen.Frequency((9, Gen.Long[1_700_000_000_000, 1_700_000_100_000]), (1, Gen.Long[0, long.MaxValue])),
        Bytes(70), Gen.Frequency((20, Bytes(400)), (1, Bytes(20_000))), Headers,
        (timestamp, key, value, headers) => new TestRecord(timestamp, key, value, headers));

    /// <summary>Records of one batch: mostly a few, seldom thousands of small ones, whose offset deltas take several bytes.</summary>
    public static readonly Gen<TestRecord[]> Records = Gen.Frequency(
        (30, Record.Array[1, 40]),
        (1, Gen.Int[100, 9_000].Select(count => Enumerable.Range(0, count).Select(i => new TestRecord(i, null, [1], [])).ToArray())));

    /// <summary>Text that repeats itself more or less, or noise, with lengths at which blocks and frames of the codecs end.</summary>
    public static readonly Gen<byte[]> Data = Gen.Select(
        Gen.OneOf(
            Gen.OneOf(0, 1, 3, 59, 60, 61, 255, 256, 257, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 200_000), Gen.Int[0, 300_000]),
        Gen.Int[0, 10], Gen.Int, Text);

    /// <summary>One to four bytes to be changed: a place, as a share of the length, and what is xored with the byte there.</summary>
    public static readonly Gen<(double At, byte Mask)[]> Flips = Gen.Select(Gen.Double[0, 0.999_999], Gen.Byte[1, 255]).Array[1, 4];

    public static byte[] Flip(ReadOnlySpan<byte> bytes, IEnumerable<(double At, byte Mask)> flips, int from = 0)
    {
        byte[] damaged = bytes.ToArray();
        foreach ((double at, byte mask) in flips)
            damaged[from + (int)(at * (damaged.Length - from))] ^= mask;

        return damaged;
    }

    /// <summary>A batch of the records, in memory of its own.</summary>
    public static byte[] Build(IEnumerable<TestRecord> records, RecordBatchOptions options)
    {
        using var builder = new RecordBatchBuilder();
        foreach (TestRecord record in records)
        {
            RecordHeader[] headers = [.. record.Headers.Select(header => new RecordHeader(header.Name, header.Value))];
            builder.Append(record.Timestamp, record.Key, record.Value, headers);
        }

        return builder.Build(options).ToArray();
    }

    private static Gen<byte[]?> Bytes(int most) => Gen.Byte.Array[0, most].Null(0.1);

    private static byte[] Text(int length, int repetition, int seed)
    {
        var random = new Random(seed);
        byte[] text = new byte[length];
        for (int i = 0; i < length; i++)
            text[i] = i > 20 && random.Next(10) < repetition ? text[i - random.Next(1, 20)] : (byte)random.Next('a', 'z');

        return text;
    }
}
