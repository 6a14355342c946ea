using System.Buffers;

namespace Arus.Protocol;

/// <summary>Whole frames: size, header and body. Static and thread-safe.</summary>
public static class Frames
{
    /// <summary>The bytes of the size in front of a frame.</summary>
    public const int SizePrefix = 4;

    /// <summary>Writes a request with its size and header.</summary>
    /// <exception cref="ProtocolException">The version cannot say what the message holds; nothing was written.</exception>
    public static void WriteRequest(IBufferWriter<byte> output, IApiMessage request, short version, int correlationId, string? clientId)
    {
        var measure = default(WireWriter);
        Request(ref measure, request, version, correlationId, clientId);
        var writer = new WireWriter(output);
        writer.WriteInt32(checked((int)measure.Length));
        Request(ref writer, request, version, correlationId, clientId);
        Finish(ref writer, measure.Length);
    }

    /// <summary>Writes a response with its size and header.</summary>
    /// <returns>The bytes written, size included.</returns>
    /// <exception cref="ProtocolException">The version cannot say what the message holds; nothing was written.</exception>
    public static int WriteResponse(IBufferWriter<byte> output, IApiMessage response, short version, int correlationId)
    {
        var measure = default(WireWriter);
        Response(ref measure, response, version, correlationId);
        var writer = new WireWriter(output);
        writer.WriteInt32(checked((int)measure.Length));
        Response(ref writer, response, version, correlationId);
        Finish(ref writer, measure.Length);
        return (int)measure.Length + SizePrefix;
    }

    /// <summary>Reads a frame that is known to be a request of one type.</summary>
    public static T ReadRequest<T>(ReadOnlyMemory<byte> frame, out RequestHeader header)
        where T : IApiMessage<T>
    {
        var reader = new WireReader(frame);
        header = RequestHeader.Read(ref reader);
        return header.ApiKey == T.Descriptor.Key
            ? T.Read(ref reader, header.ApiVersion)
            : throw new ProtocolException($"the frame is a request of API {(short)header.ApiKey}", typeof(T).Name, header.ApiVersion);
    }

    /// <summary>Reads a frame that answers a request of a known version.</summary>
    public static T ReadResponse<T>(ReadOnlyMemory<byte> frame, short version, out int correlationId)
        where T : IApiMessage<T>
    {
        var reader = new WireReader(frame);
        correlationId = reader.ReadInt32("CorrelationId");
        if (T.Descriptor.HasFlexibleResponseHeader(version))
        {
            reader.SkipTags("");
        }

        return T.Read(ref reader, version);
    }

    private static void Request(ref WireWriter writer, IApiMessage request, short version, int correlationId, string? clientId)
    {
        writer.WriteInt16((short)request.Api.Key);
        writer.WriteInt16(version);
        writer.WriteInt32(correlationId);
        writer.WriteStringOrNull(LengthFormat.Fixed, clientId, true, "ClientId");
        if (request.Api.IsFlexible(version))
        {
            writer.WriteVarUInt(0);
        }

        request.Write(ref writer, version);
    }

    private static void Response(ref WireWriter writer, IApiMessage response, short version, int correlationId)
    {
        writer.WriteInt32(correlationId);
        if (response.Api.HasFlexibleResponseHeader(version))
        {
            writer.WriteVarUInt(0);
        }

        response.Write(ref writer, version);
    }

    private static void Finish(ref WireWriter writer, long measured)
    {
        writer.Flush();
        if (writer.Length != measured + SizePrefix)
        {
            throw new InvalidOperationException(
                $"Measured {measured} bytes, wrote {writer.Length - SizePrefix}: the message was changed while it was written.");
        }
    }
}
