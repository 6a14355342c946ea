using System.Buffers.Binary;

namespace Arus.Storage;

/// <summary>
/// Small files that are read whole: 4 bytes of magic, a format version of 2 bytes, the length of the content in 4, the content,
/// and the CRC-32C of all before it. Big-endian, as everything in the log is.
/// </summary>
internal static class DurableFile
{
    public const int Overhead = 4 + 2 + 4 + 4;
    public const string TemporarySuffix = ".tmp";

    /// <summary>No such file is larger; what claims to be is damaged.</summary>
    private const int MaxContent = 256 << 20;

    /// <summary>Frames content for <see cref="Write"/>.</summary>
    public static byte[] Frame(ReadOnlySpan<byte> magic, short version, ReadOnlySpan<byte> content)
    {
        byte[] bytes = new byte[Overhead + content.Length];
        magic.CopyTo(bytes);
        BinaryPrimitives.WriteInt16BigEndian(bytes.AsSpan(4), version);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(6), content.Length);
        content.CopyTo(bytes.AsSpan(10));
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(bytes.Length - 4), Crc32C.Compute(bytes.AsSpan(0, bytes.Length - 4)));
        return bytes;
    }

    /// <summary>Replaces the file in one step.</summary>
    /// <param name="durable">Whether it is to be on stable storage afterwards; otherwise a crash may leave it old, missing or damaged.</param>
    public static void Write(ILogFileSystem fileSystem, string path, byte[] framed, bool durable)
    {
        string temporary = path + TemporarySuffix;
        fileSystem.DeleteFile(temporary);
        using (ILogFile file = fileSystem.Open(temporary, create: true))
        {
            file.Write(0, framed);
            if (durable)
            {
                file.Flush();
            }
        }

        fileSystem.RenameFile(temporary, path);
        if (durable)
        {
            fileSystem.SyncDirectory(Path.GetDirectoryName(path)!);
        }
    }

    /// <summary>The content, or null with the reason when the file is missing, damaged or of another version.</summary>
    public static byte[]? Read(ILogFileSystem fileSystem, string path, ReadOnlySpan<byte> magic, short version, out string? problem)
    {
        if (!fileSystem.FileExists(path))
        {
            problem = "it is missing";
            return null;
        }

        using ILogFile file = fileSystem.Open(path, create: false);
        long length = file.Length;
        if (length is < Overhead or > MaxContent + Overhead)
        {
            problem = $"it has {length} bytes";
            return null;
        }

        byte[] bytes = new byte[length];
        if (file.Read(0, bytes) != bytes.Length)
        {
            problem = "it shrank while it was read";
            return null;
        }

        return Open(bytes, magic, version, out problem);
    }

    /// <summary>The content of framed bytes, or null with the reason when they are damaged or of another version.</summary>
    public static byte[]? Open(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> magic, short version, out string? problem) =>
        IsFramed(bytes, magic, version, out problem) ? bytes[10..^4].ToArray() : null;

    public static bool IsFramed(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> magic, short version, out string? problem)
    {
        problem = bytes.Length < Overhead ? $"it has {bytes.Length} bytes"
            : !bytes.StartsWith(magic) ? "it does not begin with its magic number"
            : BinaryPrimitives.ReadInt32BigEndian(bytes[6..]) != bytes.Length - Overhead ? "its length is not what it says"
            : BinaryPrimitives.ReadUInt32BigEndian(bytes[^4..]) != Crc32C.Compute(bytes[..^4]) ? "its CRC does not match"
            : BinaryPrimitives.ReadInt16BigEndian(bytes[4..]) is var found && found != version ? $"it has version {found}, and {version} is known"
            : null;
        return problem is null;
    }
}
