using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Arus.Storage;

/// <summary>
/// The last offset of each key in a stretch of a log. Keys are told apart by 128 bits of their SHA-256, which nobody can make
/// collide, so that the map's size does not depend on theirs.
/// </summary>
internal sealed class OffsetMap(int maxBytes)
{
    /// <summary>What the dictionary takes for one key, roughly.</summary>
    private const int BytesPerKey = 48;

    private readonly Dictionary<UInt128, long> _offsets = [];
    private readonly int _capacity = Math.Max(16, maxBytes / BytesPerKey);

    /// <summary>Every record before it is in the map.</summary>
    public long EndOffset { get; set; }

    /// <summary>Whether a batch of so many records may not fit any more.</summary>
    public bool IsFull(int records) => _offsets.Count + records > _capacity && _offsets.Count > 0;

    public void Put(ReadOnlySpan<byte> key, long offset) => _offsets[Hash(key)] = offset;

    /// <summary>Whether a later record has the same key.</summary>
    public bool IsSuperseded(ReadOnlySpan<byte> key, long offset) => _offsets.TryGetValue(Hash(key), out long latest) && latest > offset;

    private static UInt128 Hash(ReadOnlySpan<byte> key)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(key, hash);
        return BinaryPrimitives.ReadUInt128BigEndian(hash);
    }
}
