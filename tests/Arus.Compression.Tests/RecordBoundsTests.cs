namespace Arus.Compression.Tests;

/// <summary>The quick walk through records says of every payload what the slow one says.</summary>
public sealed class RecordBoundsTests
{
    private const int Seeds = 400;
    private const int Mutations = 30;

    [Fact]
    public void The_quick_walk_and_the_slow_one_agree()
    {
        (int sound, int unsound) = (0, 0);
        for (int seed = 0; seed < Seeds; seed++)
        {
            var random = new Random(seed);
            byte[] payload = Payload(random, out int count);
            Assert.True(RecordBounds.AreSound(payload, count, requireKeys: false), $"Seed {seed}: what was built is not sound.");
            Compare(payload, count, seed);
            Compare(payload, count + random.Next(-1, 2), seed);
            for (int i = 0; i < Mutations; i++)
            {
                byte[] mutated = Mutate(payload, random);
                Compare(mutated, count, seed);
            }
        }

        Assert.True(sound > Seeds && unsound > Seeds, $"{sound} sound and {unsound} unsound payloads say too little.");

        void Compare(byte[] payload, int count, int seed)
        {
            foreach (bool requireKeys in (bool[])[false, true])
            {
                bool slow = RecordBatchPayload.Diagnose(payload, count, requireKeys, out int badRecord).IsOk;
                bool quick = RecordBounds.AreSound(payload, count, requireKeys);
                Assert.True(quick == slow, $"Seed {seed}: quick {quick}, slow {slow} at record {badRecord} of {Convert.ToHexString(payload)}");
                (sound, unsound) = slow ? (sound + 1, unsound) : (sound, unsound + 1);
            }
        }
    }

    [Fact]
    public void Every_prefix_of_records_is_unsound()
    {
        byte[] payload = Payload(new Random(1), out int count);
        for (int length = 0; length < payload.Length; length++)
        {
            Assert.False(RecordBounds.AreSound(payload.AsSpan(0, length), count, requireKeys: false));
        }
    }

    private static byte[] Payload(Random random, out int count)
    {
        using var builder = new RecordBatchBuilder();
        count = random.Next(1, random.Next(20) == 0 ? 9_000 : 100);
        for (int i = 0; i < count; i++)
        {
            int longest = random.Next(50) == 0 && count < 100 ? 20_000 : 80;
            byte[]? key = random.Next(30) == 0 ? null : new byte[random.Next(70)];
            byte[]? value = random.Next(5) == 0 ? null : new byte[random.Next(longest)];
            RecordHeader[] headers =
                [.. Enumerable.Range(0, random.Next(6) == 0 ? random.Next(4) : 0).Select(n => new RecordHeader($"h{n}", random.Next(2) == 0 ? (ReadOnlyMemory<byte>?)null : new byte[n]))];
            long timestamp = random.Next(20) == 0 ? random.NextInt64(long.MaxValue) : random.Next(30_000);
            builder.Append(timestamp, key, value, headers);
        }

        return builder.Build(new RecordBatchOptions())[RecordBatchHeader.Size..].ToArray();
    }

    private static byte[] Mutate(byte[] payload, Random random)
    {
        var bytes = new List<byte>(payload);

        // Mostly near the start, where a change meets fields rather than a value's bytes.
        int at = Math.Min(bytes.Count - 1, random.Next(2) == 0 ? random.Next(16) : random.Next(bytes.Count));
        switch (random.Next(4))
        {
            case 0:
                bytes.RemoveAt(at);
                break;
            case 1:
                bytes.Insert(at, (byte)random.Next(256));
                break;
            case 2:
                bytes[at] ^= (byte)(1 << random.Next(8));
                break;
            default:
                bytes[at] = random.Next(2) == 0 ? (byte)0xFF : (byte)random.Next(256);
                break;
        }

        return [.. bytes];
    }
}
