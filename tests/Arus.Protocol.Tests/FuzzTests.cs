using Arus.Testing;

namespace Arus.Protocol.Tests;

/// <summary>
/// Whatever bytes arrive, the decoder gives a value or a <see cref="ProtocolException"/>, and allocates no more than a small
/// multiple of them. ARUS_FUZZ_ROUNDS makes it longer.
/// </summary>
public sealed class FuzzTests
{
    /// <summary>The dearest element is an object of some 70 bytes for 2 bytes on the wire.</summary>
    private const int AllocationFactor = 48;

    /// <summary>The message itself, and an exception with its text.</summary>
    private const int AllocationBase = 8_192;

    private static readonly int Rounds = int.TryParse(Environment.GetEnvironmentVariable("ARUS_FUZZ_ROUNDS"), out int rounds) ? rounds : 12;

    public static TheoryData<string> Names() => MessageKind.Names();

    [Theory, MemberData(nameof(Names))]
    public void Random_bytes(string name) => Run(name, (random, _, _) =>
    {
        var bytes = new byte[random.Next(0, 400)];
        random.NextBytes(bytes);

        // Small numbers get further than large ones.
        for (int i = 0; i < bytes.Length; i++)
            bytes[i] = random.Next(3) == 0 ? bytes[i] : (byte)random.Next(0, 4);

        return bytes;
    });

    [Theory, MemberData(nameof(Names))]
    public void Mutated_messages(string name) => Run(name, (random, kind, version) =>
    {
        byte[] bytes = MessageKind.Write(kind.Fill(random.Next(), maxBytes: 20), version);
        for (int i = random.Next(1, 6); i > 0; i--)
            bytes = Mutate(random, bytes);

        return bytes;
    });

    /// <summary>A frame of one repeated small byte is read as arrays that are as long as they may be.</summary>
    [Theory, MemberData(nameof(Names))]
    public void Lengths_as_large_as_the_frame_allows(string name) => Run(name, (random, _, _) =>
    {
        var bytes = new byte[5_000];
        int at = random.Next(0, 40);
        uint claimed = (uint)(bytes.Length / random.Next(1, 20));
        bytes[at] = (byte)(claimed | 0x80);
        bytes[at + 1] = (byte)((claimed >> 7) | 0x80);
        bytes[at + 2] = (byte)(claimed >> 14);
        Array.Fill(bytes, (byte)random.Next(0, 3), at + 3, bytes.Length - at - 3);
        return bytes;
    });

    [Fact]
    public void Request_headers() => Seeds.Run(1, seed =>
    {
        var random = new Random(seed);
        for (int i = 0; i < 20_000; i++)
        {
            var bytes = new byte[random.Next(0, 40)];
            random.NextBytes(bytes);
            try
            {
                var reader = new WireReader(bytes);
                RequestHeader.Read(ref reader);
            }
            catch (ProtocolException)
            {
                // The clean error.
            }
        }
    });

    private static void Run(string name, Func<Random, MessageKind, short, byte[]> frame) => Seeds.Run(Rounds, seed =>
    {
        MessageKind kind = MessageKind.Of(name);
        foreach (short version in kind.Versions)
        {
            byte[] bytes = frame(new Random(seed + version), kind, version);
            string what = $"{name} v{version}: {Hex.Format(bytes.AsSpan(0, Math.Min(400, bytes.Length)))}";
            long before = GC.GetAllocatedBytesForCurrentThread();
            Exception? error = null;
            try
            {
                kind.Read(bytes, version, out _);
            }
            catch (Exception e)
            {
                error = e;
            }

            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(error is null or ProtocolException, $"{error} at {what}");
            long allowed = ((long)bytes.Length * AllocationFactor) + AllocationBase;
            Assert.True(allocated <= allowed, $"{allocated} bytes for {bytes.Length} at {what}");
        }
    });

    private static byte[] Mutate(Random random, byte[] bytes)
    {
        if (bytes.Length == 0)
            return bytes;

        int at = random.Next(bytes.Length);
        switch (random.Next(5))
        {
            case 0:
                bytes[at] = (byte)random.Next(256);
                return bytes;
            case 1:
                bytes[at] = (byte)(random.Next(2) == 0 ? 0x7F : 0xFF);
                return bytes;
            case 2:
                return bytes[..at];
            case 3:
                return [.. bytes[..at], .. bytes[(at + random.Next(0, Math.Min(8, bytes.Length - at)))..]];
            default:
                var inserted = new byte[random.Next(1, 6)];
                random.NextBytes(inserted);
                return [.. bytes[..at], .. inserted, .. bytes[at..]];
        }
    }
}
