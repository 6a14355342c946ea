using System.Buffers.Binary;
using System.Diagnostics;

namespace Arus.Protocol;

/// <summary>Whole data messages as bytes. Static and thread-safe.</summary>
public static class DataMessages
{
    /// <summary>The body alone; the reader has to know its version.</summary>
    /// <exception cref="ProtocolException">The version has no room for what the message holds.</exception>
    public static byte[] Write(IMessage message, short version) => Write(message, version, 0);

    /// <summary>Reads what <see cref="Write(IMessage, short)"/> wrote, to its last byte.</summary>
    /// <exception cref="InvalidDataException">The bytes are not such a message.</exception>
    public static T Read<T>(ReadOnlyMemory<byte> bytes, short version)
        where T : IDataMessage<T>
    {
        var reader = new WireReader(bytes);
        return Read<T>(ref reader, version, toTheEnd: true);
    }

    /// <summary>Writes the version in one byte, then the body: the format of rows in grain storage.</summary>
    public static byte[] WriteVersioned<T>(T message)
        where T : IDataMessage<T>
    {
        byte[] bytes = Write(message, T.MaxVersion, 1);
        bytes[0] = (byte)checked((sbyte)T.MaxVersion);
        return bytes;
    }

    /// <summary>Reads what <see cref="WriteVersioned"/> wrote, to its last byte.</summary>
    /// <exception cref="InvalidDataException">The version is not known to this build, or the bytes are damaged.</exception>
    public static T ReadVersioned<T>(ReadOnlyMemory<byte> bytes)
        where T : IDataMessage<T>
    {
        var reader = new WireReader(bytes);
        return Read<T>(ref reader, bytes.IsEmpty ? (short)-1 : reader.ReadInt8("Version"), toTheEnd: true);
    }

    /// <summary>Writes the version in two bytes, then the body: the format of what Kafka's clients embed in requests.</summary>
    public static byte[] WriteEmbedded<T>(T message, short version)
        where T : IDataMessage<T>
    {
        byte[] bytes = Write(message, version, 2);
        BinaryPrimitives.WriteInt16BigEndian(bytes, version);
        return bytes;
    }

    /// <summary>Reads what clients embed. Of a later version the known fields are read and the rest is left alone.</summary>
    /// <param name="bytes">Version and body.</param>
    /// <param name="maxVersion">Reads no more than the fields of this version; by default all that are known.</param>
    /// <exception cref="InvalidDataException">The bytes are not such a message.</exception>
    public static T ReadEmbedded<T>(ReadOnlyMemory<byte> bytes, short maxVersion = short.MaxValue)
        where T : IDataMessage<T>
    {
        var reader = new WireReader(bytes);
        short version = bytes.Length < 2 ? (short)-1 : reader.ReadInt16("Version");
        return Read<T>(ref reader, Math.Min(version, Math.Min(maxVersion, T.MaxVersion)), toTheEnd: false);
    }

    /// <summary>The size of the body.</summary>
    /// <exception cref="ProtocolException">The version has no room for what the message holds.</exception>
    public static int Measure(IMessage message, short version)
    {
        var measure = default(WireWriter);
        message.Write(ref measure, version);
        return checked((int)measure.Length);
    }

    /// <summary>Writes the body to memory of just its size.</summary>
    public static void WriteTo(Span<byte> bytes, IMessage message, short version)
    {
        var writer = new WireWriter(bytes);
        message.Write(ref writer, version);
        Debug.Assert(writer.Length == bytes.Length, "The message was changed after it was measured.");
    }

    private static byte[] Write(IMessage message, short version, int prefix)
    {
        byte[] bytes = new byte[prefix + Measure(message, version)];
        WriteTo(bytes.AsSpan(prefix), message, version);
        return bytes;
    }

    private static T Read<T>(ref WireReader reader, short version, bool toTheEnd)
        where T : IDataMessage<T>
    {
        try
        {
            T message = T.Read(ref reader, version);
            return !toTheEnd || reader.Remaining == 0 ? message : throw reader.Error($"{reader.Remaining} bytes follow the message", null);
        }
        catch (ProtocolException e)
        {
            throw new InvalidDataException(e.Message, e);
        }
    }
}
