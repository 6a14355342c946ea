using System.Buffers.Binary;
using System.Text;

namespace Arus.Grains;

/// <summary>
/// The format of a state's file. All integers are little-endian:
/// <code>
///  0  magic "ARSG"
///  4  format version, 2 bytes: 1
///  6  reserved, 2 bytes: 0
///  8  ETag, 16 bytes
/// 24  length of the key, 4 bytes
/// 28  length of the payload, 4 bytes
/// 32  CRC-32C of everything else, 4 bytes
/// 36  the key (state name, NUL, grain id) as UTF-8, then the payload
/// </code>
/// </summary>
internal static class GrainStateFile
{
    public const int HeaderLength = 36;
    private const int CrcOffset = 32;
    private const ushort Version = 1;
    private static ReadOnlySpan<byte> Magic => "ARSG"u8;

    public static byte[] Format(string key, Guid etag, ReadOnlySpan<byte> payload)
    {
        int keyLength = Encoding.UTF8.GetByteCount(key);
        byte[] file = GC.AllocateUninitializedArray<byte>(checked(HeaderLength + keyLength + payload.Length));
        Magic.CopyTo(file);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(4), Version);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(6), 0);
        etag.TryWriteBytes(file.AsSpan(8), bigEndian: true, out _);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(24), keyLength);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(28), payload.Length);
        Encoding.UTF8.GetBytes(key, file.AsSpan(HeaderLength));
        payload.CopyTo(file.AsSpan(HeaderLength + keyLength));
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(CrcOffset), Checksum(file));
        return file;
    }

    /// <summary>The version of a whole file, or of its first <see cref="HeaderLength"/> bytes.</summary>
    /// <exception cref="CorruptGrainStateException">It is not the beginning of a state's file.</exception>
    public static Guid ReadETag(string path, ReadOnlySpan<byte> file)
    {
        if (file.Length < HeaderLength)
            throw new CorruptGrainStateException(path, $"it has {file.Length} bytes and the header alone takes {HeaderLength}");

        if (!file.StartsWith(Magic))
            throw new CorruptGrainStateException(path, "it does not begin as a grain state file does");

        ushort version = BinaryPrimitives.ReadUInt16LittleEndian(file[4..]);
        return version == Version
            ? new Guid(file.Slice(8, 16), bigEndian: true)
            : throw new CorruptGrainStateException(path, $"its format version is {version}, and only {Version} is known");
    }

    /// <summary>Checks a whole file and answers its version and payload.</summary>
    /// <exception cref="CorruptGrainStateException">It is damaged, or another grain's.</exception>
    public static (Guid ETag, ReadOnlyMemory<byte> Payload) Parse(string path, string key, ReadOnlyMemory<byte> contents)
    {
        (string actual, Guid etag, ReadOnlyMemory<byte> payload) = Parse(path, contents);
        return actual == key
            ? (etag, payload)
            : throw new CorruptGrainStateException(path, $"it holds the state of {actual.Replace('\0', ' ')}");
    }

    /// <summary>Checks a whole file and answers whose it is, its version and payload.</summary>
    /// <exception cref="CorruptGrainStateException">It is damaged.</exception>
    public static (string Key, Guid ETag, ReadOnlyMemory<byte> Payload) Parse(string path, ReadOnlyMemory<byte> contents)
    {
        ReadOnlySpan<byte> file = contents.Span;
        Guid etag = ReadETag(path, file);
        uint keyLength = BinaryPrimitives.ReadUInt32LittleEndian(file[24..]);
        uint payloadLength = BinaryPrimitives.ReadUInt32LittleEndian(file[28..]);
        if ((ulong)HeaderLength + keyLength + payloadLength != (ulong)file.Length)
        {
            throw new CorruptGrainStateException(
                path, $"it has {file.Length} bytes and its header announces {(ulong)HeaderLength + keyLength + payloadLength}");
        }

        uint stored = BinaryPrimitives.ReadUInt32LittleEndian(file[CrcOffset..]);
        uint computed = Checksum(file);
        if (stored != computed)
            throw new CorruptGrainStateException(path, $"its CRC-32C is {computed:x8} and should be {stored:x8}");

        string key = Encoding.UTF8.GetString(file.Slice(HeaderLength, (int)keyLength));
        return (key, etag, contents[(HeaderLength + (int)keyLength)..]);
    }

    private static uint Checksum(ReadOnlySpan<byte> file) =>
        Crc32C.Append(Crc32C.Compute(file[..CrcOffset]), file[(CrcOffset + sizeof(uint))..]);
}
