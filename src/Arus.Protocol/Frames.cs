using System.Buffers;

namespace Arus.Protocol;

/// <summary>Whole frames: size, header and body. Static and thread-safe.</summary>
public static class Frames
{
    /// <summary>The bytes of the size in front of a frame.</summary>
    public const int SizePrefix = 4;

    /// <summary>Reads a frame that answers a request of a known version.</summary>
    public static T ReadResponse<T>(ReadOnlyMemory<byte> frame, short version, out int correlationId)
        where T : IApiMessage<T>
    {
        var reader = new WireReader(frame);
        correlationId = reader.ReadInt32("CorrelationId");
        if (T.Descriptor.HasFlexibleResponseHeader(version))
            reader.SkipTags("");

        return T.Read(ref reader, version);
    }

    /// <summary>Writes a request or a response with its size and header.</summary>
    /// <param name="clientId">Part of a request's header only.</param>
    /// <returns>The bytes written, size included.</returns>
    /// <exception cref="ProtocolException">The version has no room for what the message holds; nothing was written.</exception>
    public static int Write(IBufferWriter<byte> output, IApiMessage message, short version, int correlationId, string? clientId = null)
    {
        var measure = default(WireWriter);
        WriteContent(ref measure, message, version, correlationId, clientId);
        var writer = new WireWriter(output);
        writer.WriteInt32(checked((int)measure.Length));
        WriteContent(ref writer, message, version, correlationId, clientId);
        writer.Flush();
        return writer.Length == measure.Length + SizePrefix
            ? (int)writer.Length
            : throw new InvalidOperationException(
                $"Measured {measure.Length} bytes, wrote {writer.Length - SizePrefix}: the message was changed while it was written.");
    }

    private static void WriteContent(ref WireWriter writer, IApiMessage message, short version, int correlationId, string? clientId)
    {
        if (message.IsRequest)
        {
            writer.WriteInt16((short)message.Api.Key);
            writer.WriteInt16(version);
            writer.WriteInt32(correlationId);
            writer.WriteString(LengthFormat.Fixed, clientId, true, "ClientId");
        }
        else
        {
            writer.WriteInt32(correlationId);
        }

        if (message.IsRequest ? message.Api.IsFlexible(version) : message.Api.HasFlexibleResponseHeader(version))
            writer.WriteVarUInt(0);

        message.Write(ref writer, version);
    }
}
