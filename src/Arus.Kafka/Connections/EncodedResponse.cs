using System.Buffers;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>
/// The body of a response that was encoded before, for the version that it was encoded in. Clients that are sent the same bytes share them,
/// however slowly they take them. Immutable.
/// </summary>
internal sealed class EncodedResponse : IApiMessage
{
    private readonly ReadOnlyMemory<byte> _body;
    private readonly short _version;

    private EncodedResponse(ApiDescriptor api, ReadOnlyMemory<byte> body, short version) => (Api, _body, _version) = (api, body, version);

    public ApiDescriptor Api { get; }

    public bool IsRequest => false;

    public int Length => _body.Length;

    public static EncodedResponse Of(IApiMessage response, short version)
    {
        var body = new ArrayBufferWriter<byte>();
        var writer = new WireWriter(body);
        response.Write(ref writer, version);
        writer.Flush();
        return new EncodedResponse(response.Api, body.WrittenMemory, version);
    }

    public void Write(ref WireWriter writer, short version)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(version, _version);
        writer.WriteMemory(_body);
    }
}
