using System.Buffers.Binary;
using Arus.Protocol;

namespace Arus.Storage;

/// <summary>
/// Small files that are read whole: 4 bytes of magic, a format version of 2 bytes, the length of the content in 4, the content,
/// and the CRC-32C of all before it. Big-endian, as everything in the log is.
/// </summary>
internal static class DurableFile
{
    public const int Overhead = Prefix + Suffix;

    private const int Prefix = 4 + 2 + 4;
    private const int Suffix = 4;

    /// <summary>No such file is larger; what claims to be is damaged.</summary>
    private const int MaxContent = 256 << 20;

    /// <summary>Frames content for a file: a message of the given version, and bytes that follow it.</summary>
    public static byte[] Frame(ReadOnlySpan<byte> magic, short version, IMessage message, ReadOnlySpan<byte> rest = default) =>
        Frame(magic, version, DataMessages.Write(message, version), rest);

    /// <summary>Frames content whose bytes are at hand, in one or two pieces.</summary>
    public static byte[] Frame(ReadOnlySpan<byte> magic, short version, ReadOnlySpan<byte> content, ReadOnlySpan<byte> rest = default)
    {
        byte[] bytes = new byte[Overhead + content.Length + rest.Length];
        magic.CopyTo(bytes);
        BinaryPrimitives.WriteInt16BigEndian(bytes.AsSpan(4), version);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(6), content.Length + rest.Length);
        content.CopyTo(bytes.AsSpan(Prefix));
        rest.CopyTo(bytes.AsSpan(Prefix + content.Length));
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(bytes.Length - Suffix), Crc32C.Compute(bytes.AsSpan(..^Suffix)));
        return bytes;
    }

    /// <summary>The message in a file; null with the reason when the file is missing, damaged or of a version that is not known.</summary>
    public static T? Read<T>(ILogFileSystem fileSystem, string path, ReadOnlySpan<byte> magic, out string? problem)
        where T : class, IDataMessage<T> =>
        ReadFramed(fileSystem, path, out problem) is { } framed ? Open<T>(framed, magic, out problem) : null;

    /// <summary>The message in framed bytes; null with the reason when they are damaged or of a version that is not known.</summary>
    public static T? Open<T>(ReadOnlyMemory<byte> framed, ReadOnlySpan<byte> magic, out string? problem)
        where T : class, IDataMessage<T>
    {
        T? message = OpenHeader<T>(framed, magic, out ReadOnlyMemory<byte> rest, out problem);
        if (message is null || rest.IsEmpty)
            return message;

        problem = $"{rest.Length} bytes follow its content";
        return null;
    }

    /// <summary>As <see cref="Open"/>, for a message that other bytes follow.</summary>
    public static T? OpenHeader<T>(
        ReadOnlyMemory<byte> framed, ReadOnlySpan<byte> magic, out ReadOnlyMemory<byte> rest, out string? problem)
        where T : class, IDataMessage<T>
    {
        rest = default;
        problem = FindProblem(framed.Span, magic, T.MinVersion, T.MaxVersion);
        if (problem is not null)
            return null;

        try
        {
            var reader = new WireReader(framed[Prefix..^Suffix]);
            T message = T.Read(ref reader, BinaryPrimitives.ReadInt16BigEndian(framed.Span[4..]));
            rest = framed[^(reader.Remaining + Suffix)..^Suffix];
            return message;
        }
        catch (ProtocolException e)
        {
            problem = $"its content is not what its length says ({e.Message})";
            return null;
        }
    }

    /// <summary>All bytes of a file; null with the reason when it is missing or of an impossible size.</summary>
    public static byte[]? ReadFramed(ILogFileSystem fileSystem, string path, out string? problem)
    {
        long? length = fileSystem.GetInfo(path)?.Length;
        if (length is null or < Overhead or > MaxContent + Overhead)
        {
            problem = length is null ? "it is missing" : $"it has {length} bytes";
            return null;
        }

        using ILogFile file = fileSystem.Open(path, create: false);
        byte[] bytes = new byte[length.Value];
        problem = file.Read(0, bytes) == bytes.Length ? null : "it shrank while it was read";
        return problem is null ? bytes : null;
    }

    private static string? FindProblem(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> magic, short minVersion, short maxVersion) =>
        bytes.Length < Overhead ? $"it has {bytes.Length} bytes"
        : !bytes.StartsWith(magic) ? "it does not begin with its magic number"
        : BinaryPrimitives.ReadInt32BigEndian(bytes[6..]) != bytes.Length - Overhead ? "its length is not what it says"
        : BinaryPrimitives.ReadUInt32BigEndian(bytes[^Suffix..]) != Crc32C.Compute(bytes[..^Suffix]) ? "its CRC does not match"
        : BinaryPrimitives.ReadInt16BigEndian(bytes[4..]) is var found && (found < minVersion || found > maxVersion)
            ? $"it has version {found}, and {(minVersion == maxVersion ? "" : $"{minVersion} to ")}{maxVersion} is known"
        : null;
}
