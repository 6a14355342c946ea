using Arus.Testing;
using CsCheck;

namespace Arus.Compression.Tests;

/// <summary>The fast validation of records agrees with the thorough one on every payload.</summary>
public sealed class RecordBoundsTests
{
    /// <summary>A byte removed, inserted or changed, mostly near the start, where fields are rather than the bytes of a value.</summary>
    private static readonly Gen<(int Kind, double At, byte Value)> Mutation = Gen.Select(
        Gen.Int[0, 3], Gen.OneOf(Gen.Double[0, 0.999_999], Gen.Double[0, 0.01]), Gen.OneOf(Gen.Byte, Gen.OneOf<byte>(0xFF, 1, 2, 0x80)));

    [Fact]
    public void Fast_and_thorough_validation_agree()
    {
        (int valid, int invalid) = (0, 0);
        Gen.Select(Generate.Records, Gen.Int[-1, 1], Mutation.Array[20]).Holds(
            generated =>
            {
                (TestRecord[] records, int more, (int, double, byte)[] mutations) = generated;
                byte[] payload = Payload(records);
                Assert.True(RecordBounds.AreSound(payload, records.Length, requireKeys: false));
                Compare(payload, records.Length);
                Compare(payload, records.Length + more);
                foreach ((int, double, byte) mutation in mutations)
                    Compare(Mutate(payload, mutation), records.Length);
            },
            cases: 400);
        Assert.True(Seeds.Given is not null || (valid > 400 && invalid > 400), $"{valid} valid, {invalid} invalid payloads prove little.");

        void Compare(byte[] payload, int count)
        {
            foreach (bool requireKeys in (bool[])[false, true])
            {
                bool isValid = RecordBatchPayload.Diagnose(payload, count, requireKeys, out int badRecord).IsOk;
                Assert.True(
                    isValid == RecordBounds.AreSound(payload, count, requireKeys),
                    $"Thorough says {isValid} at record {badRecord} of {Convert.ToHexString(payload)}, fast does not.");
                (valid, invalid) = isValid ? (valid + 1, invalid) : (valid, invalid + 1);
            }
        }
    }

    [Fact]
    public void Every_prefix_of_records_is_invalid() => Generate.Records.Where(records => records.Length < 100).Holds(
        records =>
        {
            byte[] payload = Payload(records);
            for (int length = 0; length < Math.Min(payload.Length, 2_000); length++)
                Assert.False(RecordBounds.AreSound(payload.AsSpan(0, length), records.Length, requireKeys: false));
        },
        cases: 20);

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
}
