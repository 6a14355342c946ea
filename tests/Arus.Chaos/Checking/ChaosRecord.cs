using System.Buffers.Binary;

namespace Arus.Chaos;

/// <summary>Which record of which producer: sequences count from 0 for each producer and partition.</summary>
internal readonly record struct RecordId(ushort Producer, long Sequence)
{
    /// <summary>Eight bytes a record, since a run of an hour keeps millions several times over. 0 stands for none.</summary>
    public ulong Packed => ((ulong)(Producer + 1) << 47) | (ulong)Sequence;

    public static RecordId Unpack(ulong packed) => new((ushort)((packed >> 47) - 1), (long)(packed & ((1UL << 47) - 1)));

    public override string ToString() => $"{Producer}:{Sequence}";
}

/// <summary>
/// Records whose bytes all follow from their place, so that one that comes back damaged, or from another partition, is told from those that
/// were sent.
/// </summary>
internal static class ChaosRecord
{
    public const int Size = 100;

    private const int HeaderSize = sizeof(ushort) + sizeof(long);

    public static byte[] Make(RecordId id, int partition)
    {
        byte[] value = new byte[Size];
        Write(id, partition, value);
        return value;
    }

    public static bool TryRead(ReadOnlySpan<byte> value, int partition, out RecordId id)
    {
        id = default;
        if (value.Length != Size)
            return false;

        id = new RecordId(BinaryPrimitives.ReadUInt16BigEndian(value), BinaryPrimitives.ReadInt64BigEndian(value[sizeof(ushort)..]));
        Span<byte> expected = stackalloc byte[Size];
        Write(id, partition, expected);
        return value.SequenceEqual(expected);
    }

    private static void Write(RecordId id, int partition, Span<byte> value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(value, id.Producer);
        BinaryPrimitives.WriteInt64BigEndian(value[sizeof(ushort)..], id.Sequence);
        ulong state = id.Packed + (ulong)partition;
        for (int i = HeaderSize; i < value.Length; i++)
        {
            state = (state * 6364136223846793005) + 1442695040888963407;
            value[i] = (byte)(state >> 56);
        }
    }
}
