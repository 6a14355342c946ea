namespace Orleans.Serialization;

/// <summary>Arrays of bytes: a copy on either side, since an array can always be written to.</summary>
internal sealed class ByteArrayCodec : Codec<byte[]?>
{
    public override void Write(WireWriter writer, byte[]? value)
    {
        writer.WriteBool(value is not null);
        if (value is not null)
        {
            writer.WriteBlock(value);
        }
    }

    public override byte[]? Read(WireReader reader) => reader.ReadBool() ? reader.ReadBlock() : null;

    public override byte[]? Copy(byte[]? value) => value?.AsSpan().ToArray();
}

/// <summary>Read-only payloads: one copy into the sent frame, none out of the received one where it may be kept.</summary>
internal sealed class ReadOnlyMemoryCodec : Codec<ReadOnlyMemory<byte>>
{
    public override void Write(WireWriter writer, ReadOnlyMemory<byte> value) => writer.WriteBlock(value.Span);

    public override ReadOnlyMemory<byte> Read(WireReader reader) => reader.ReadBlockShared();

    public override ReadOnlyMemory<byte> Copy(ReadOnlyMemory<byte> value) => value.ToArray();
}

internal sealed class MemoryCodec : Codec<Memory<byte>>
{
    public override void Write(WireWriter writer, Memory<byte> value) => writer.WriteBlock(value.Span);

    public override Memory<byte> Read(WireReader reader) => reader.ReadBlock();

    public override Memory<byte> Copy(Memory<byte> value) => value.ToArray();
}

internal sealed class ArraySegmentCodec : Codec<ArraySegment<byte>>
{
    public override void Write(WireWriter writer, ArraySegment<byte> value) => writer.WriteBlock(value);

    public override ArraySegment<byte> Read(WireReader reader) => reader.ReadBlock();

    public override ArraySegment<byte> Copy(ArraySegment<byte> value) => value.AsSpan().ToArray();
}
