using System.Net;
using Orleans.Runtime;

namespace Orleans.Serialization;

/// <summary>Codecs of the identities that every message carries. Written out by hand, since they are made by constructors.</summary>
internal sealed class IdSpanCodec : Codec<IdSpan>
{
    public override bool IsShared => true;

    public override void Write(WireWriter writer, IdSpan value) => writer.WriteBlock(value.AsSpan());

    public override IdSpan Read(WireReader reader)
    {
        byte[] bytes = reader.ReadBlock();
        return bytes.Length == 0 ? default : new IdSpan(bytes);
    }

    public override IdSpan Copy(IdSpan value) => value;
}

internal sealed class GrainTypeCodec : Codec<GrainType>
{
    private static readonly IdSpanCodec _id = new();

    public override bool IsShared => true;

    public override void Write(WireWriter writer, GrainType value) => _id.Write(writer, value.Value);

    public override GrainType Read(WireReader reader) => new(_id.Read(reader));

    public override GrainType Copy(GrainType value) => value;
}

internal sealed class GrainInterfaceTypeCodec : Codec<GrainInterfaceType>
{
    private static readonly IdSpanCodec _id = new();

    public override bool IsShared => true;

    public override void Write(WireWriter writer, GrainInterfaceType value) => _id.Write(writer, value.Value);

    public override GrainInterfaceType Read(WireReader reader) => new(_id.Read(reader));

    public override GrainInterfaceType Copy(GrainInterfaceType value) => value;
}

internal sealed class GrainIdCodec : Codec<GrainId>
{
    private static readonly IdSpanCodec _id = new();

    public override bool IsShared => true;

    public override int MinSize => 2;

    public override void Write(WireWriter writer, GrainId value)
    {
        _id.Write(writer, value.Type.Value);
        _id.Write(writer, value.Key);
    }

    public override GrainId Read(WireReader reader) => new(new GrainType(_id.Read(reader)), _id.Read(reader));

    public override GrainId Copy(GrainId value) => value;
}

internal sealed class SiloAddressCodec : Codec<SiloAddress?>
{
    public override bool IsShared => true;

    public override void Write(WireWriter writer, SiloAddress? value)
    {
        if (value is null)
        {
            writer.WriteByte(0);
            return;
        }

        Span<byte> address = stackalloc byte[16];
        value.Endpoint.Address.TryWriteBytes(address, out int length);
        writer.WriteByte((byte)length);
        writer.WriteBytes(address[..length]);
        writer.WriteVarUInt32((uint)value.Endpoint.Port);
        writer.WriteVarInt32(value.Generation);
    }

    public override SiloAddress? Read(WireReader reader)
    {
        byte length = reader.ReadByte();
        if (length == 0)
        {
            return null;
        }

        if (length is not (4 or 16))
        {
            throw reader.Corrupt($"an IP address has {length} bytes");
        }

        var address = new IPAddress(reader.ReadBytes(length));
        uint port = reader.ReadVarUInt32();
        return port <= ushort.MaxValue
            ? SiloAddress.New(new IPEndPoint(address, (int)port), reader.ReadVarInt32())
            : throw reader.Corrupt($"{port} is no port");
    }

    public override SiloAddress? Copy(SiloAddress? value) => value;
}
