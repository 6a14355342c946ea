using System.Buffers.Binary;

namespace Arus;

/// <summary>The 32-bit MurmurHash2 of Kafka's default partitioner, with its seed.</summary>
public static class Murmur2
{
    private const uint Seed = 0x9747b28c;
    private const uint M = 0x5bd1e995;

    public static int Hash(ReadOnlySpan<byte> data)
    {
        uint hash = Seed ^ (uint)data.Length;
        while (data.Length >= 4)
        {
            uint k = BinaryPrimitives.ReadUInt32LittleEndian(data) * M;
            k = (k ^ (k >> 24)) * M;
            hash = (hash * M) ^ k;
            data = data[4..];
        }

        if (data.Length > 0)
        {
            hash ^= data.Length > 2 ? (uint)data[2] << 16 : 0;
            hash ^= data.Length > 1 ? (uint)data[1] << 8 : 0;
            hash = (hash ^ data[0]) * M;
        }

        hash = (hash ^ (hash >> 13)) * M;
        return (int)(hash ^ (hash >> 15));
    }

    /// <summary>The partition of a key under Kafka's default partitioner: the positive hash modulo the partition count.</summary>
    public static int Partition(ReadOnlySpan<byte> key, int partitionCount)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(partitionCount, 1);
        return (Hash(key) & int.MaxValue) % partitionCount;
    }
}
