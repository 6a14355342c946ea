using System.Buffers.Binary;
using System.Text;

namespace Orleans.Runtime;

/// <summary>Immutable UTF-8 bytes with their hash, the stuff that ids are made of.</summary>
public readonly struct IdSpan : IEquatable<IdSpan>, IComparable<IdSpan>
{
    private readonly byte[]? _value;
    private readonly int _hash;

    public IdSpan(byte[] value)
    {
        _value = value;
        _hash = (int)StableHash.Of(value);
    }

    private IdSpan(byte[]? value, int hash) => (_value, _hash) = (value, hash);

    public bool IsDefault => _value is null || _value.Length == 0;

    public ReadOnlyMemory<byte> Value => _value;

    public static IdSpan Create(string id) => new(Encoding.UTF8.GetBytes(id));

    public static IdSpan UnsafeCreate(byte[]? value, int hashCode) => new(value, hashCode);

    public static byte[]? UnsafeGetArray(IdSpan id) => id._value;

    public ReadOnlySpan<byte> AsSpan() => _value;

    public bool Equals(IdSpan obj) =>
        ReferenceEquals(_value, obj._value) || (_hash == obj._hash && AsSpan().SequenceEqual(obj.AsSpan()));

    public override bool Equals(object? obj) => obj is IdSpan other && Equals(other);

    public override int GetHashCode() => _hash;

    /// <summary>The same in every process.</summary>
    public uint GetUniformHashCode() => (uint)_hash;

    public int CompareTo(IdSpan other) => AsSpan().SequenceCompareTo(other.AsSpan());

    public override string ToString() => _value is null ? "" : Encoding.UTF8.GetString(_value);

    public static bool operator ==(IdSpan left, IdSpan right) => left.Equals(right);

    public static bool operator !=(IdSpan left, IdSpan right) => !left.Equals(right);
}

/// <summary>A hash that is the same in every process: rings and ids are compared between silos.</summary>
internal static class StableHash
{
    public static uint Of(ReadOnlySpan<byte> data) => (uint)Of64(data);

    /// <summary>FNV-1a over eight bytes at a time, finished as splitmix64 does.</summary>
    public static ulong Of64(ReadOnlySpan<byte> data)
    {
        ulong hash = 14695981039346656037UL ^ (ulong)data.Length;
        while (data.Length >= 8)
        {
            hash = (hash ^ BinaryPrimitives.ReadUInt64LittleEndian(data)) * 1099511628211UL;
            hash ^= hash >> 32;
            data = data[8..];
        }

        foreach (byte b in data)
        {
            hash = (hash ^ b) * 1099511628211UL;
        }

        return Mix(hash);
    }

    public static ulong Of64(string text) => Of64(Encoding.UTF8.GetBytes(text));

    public static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9UL;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EBUL;
        return value ^ (value >> 31);
    }
}
