using System.Buffers;

namespace Arus.Protocol.Tests;

/// <summary>Bodies to bytes and back, for tests over every message.</summary>
internal static class MessageCodec
{
    public static byte[] Write(IApiMessage message, short version)
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new WireWriter(output);
        message.Write(ref writer, version);
        writer.Flush();
        return output.WrittenSpan.ToArray();
    }

    public static IApiMessage Read(ApiDescriptor api, bool isRequest, short version, ReadOnlyMemory<byte> body, out int remaining)
    {
        var reader = new WireReader(body);
        IApiMessage message = isRequest ? api.ReadRequest(ref reader, version) : api.ReadResponse(ref reader, version);
        remaining = reader.Remaining;
        return message;
    }

    /// <summary>Every message at every version.</summary>
    public static IEnumerable<(ApiDescriptor Api, bool IsRequest, short Version)> All()
    {
        foreach (ApiDescriptor api in ApiCatalog.All)
        {
            for (short version = api.MinVersion; version <= api.MaxVersion; version++)
            {
                yield return (api, true, version);
                yield return (api, false, version);
            }
        }
    }
}
