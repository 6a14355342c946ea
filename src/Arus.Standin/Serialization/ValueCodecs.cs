using System.Runtime.CompilerServices;
using Orleans.Concurrency;

namespace Orleans.Serialization;

/// <summary>Enums, by their underlying integer; a number without a name passes unchanged.</summary>
internal sealed class EnumCodec<T> : Codec<T> where T : unmanaged, Enum
{
    public override bool IsShared => true;

    public override void Write(WireWriter writer, T value)
    {
        switch (Unsafe.SizeOf<T>())
        {
            case 1: writer.WriteByte(Unsafe.BitCast<T, byte>(value)); break;
            case 2: writer.WriteVarInt32(Unsafe.BitCast<T, short>(value)); break;
            case 4: writer.WriteVarInt32(Unsafe.BitCast<T, int>(value)); break;
            default: writer.WriteVarInt64(Unsafe.BitCast<T, long>(value)); break;
        }
    }

    public override T Read(WireReader reader) => Unsafe.SizeOf<T>() switch
    {
        1 => Unsafe.BitCast<byte, T>(reader.ReadByte()),
        2 => Unsafe.BitCast<short, T>(ReadInt16(reader)),
        4 => Unsafe.BitCast<int, T>(reader.ReadVarInt32()),
        _ => Unsafe.BitCast<long, T>(reader.ReadVarInt64()),
    };

    public override T Copy(T value) => value;

    private static short ReadInt16(WireReader reader)
    {
        int value = reader.ReadVarInt32();
        return value == (short)value ? (short)value : throw reader.Corrupt($"{value} is no {typeof(T)}");
    }
}

internal sealed class NullableCodec<T> : Codec<T?>, IBuiltCodec where T : struct
{
    private Codec<T> _value = null!;

    public override bool IsShared => _value.IsShared;

    public void Build(CodecProvider provider) => _value = provider.Get<T>();

    public override void Write(WireWriter writer, T? value)
    {
        writer.WriteBool(value.HasValue);
        if (value.HasValue)
        {
            _value.Write(writer, value.GetValueOrDefault());
        }
    }

    public override T? Read(WireReader reader) => reader.ReadBool() ? _value.Read(reader) : null;

    public override T? Copy(T? value) => value.HasValue ? _value.Copy(value.GetValueOrDefault()) : null;
}

/// <summary>What its sender promised not to change any more.</summary>
internal sealed class ImmutableCodec<T> : Codec<Immutable<T>>, IBuiltCodec
{
    private Codec<T> _value = null!;

    public override bool IsShared => true;

    public void Build(CodecProvider provider) => _value = provider.Get<T>();

    public override void Write(WireWriter writer, Immutable<T> value) => _value.Write(writer, value.Value);

    public override Immutable<T> Read(WireReader reader) => new(_value.Read(reader));

    public override Immutable<T> Copy(Immutable<T> value) => value;
}

/// <summary>A type that travels as another, because it knows nothing of serialization itself.</summary>
internal sealed class ConverterCodec<T, TSurrogate>(IConverter<T, TSurrogate> converter) : Codec<T>, IBuiltCodec where TSurrogate : struct
{
    private Codec<TSurrogate> _surrogate = null!;
    private bool _shared;

    public override bool IsShared => _shared;

    public void Build(CodecProvider provider)
    {
        _surrogate = provider.Get<TSurrogate>();
        _shared = _surrogate.IsShared;
    }

    public override void Write(WireWriter writer, T value)
    {
        if (typeof(T).IsValueType)
        {
            _surrogate.Write(writer, converter.ConvertToSurrogate(in value));
            return;
        }

        writer.WriteBool(value is not null);
        if (value is not null)
        {
            _surrogate.Write(writer, converter.ConvertToSurrogate(in value));
        }
    }

    public override T Read(WireReader reader)
    {
        if (!typeof(T).IsValueType && !reader.ReadBool())
        {
            return default!;
        }

        TSurrogate surrogate = _surrogate.Read(reader);
        return converter.ConvertFromSurrogate(in surrogate);
    }

    public override T Copy(T value)
    {
        if (value is null)
        {
            return value;
        }

        TSurrogate surrogate = _surrogate.Copy(converter.ConvertToSurrogate(in value));
        return converter.ConvertFromSurrogate(in surrogate);
    }
}

/// <summary>Grain references and observers: their identity travels, and a reference is made of it on the other side.</summary>
internal sealed class ReferenceCodec<T> : Codec<T?>, IBuiltCodec where T : class
{
    private CodecProvider _provider = null!;
    private Codec<Runtime.GrainId> _identity = null!;

    public override bool IsShared => false;

    private IReferenceConverter References => _provider.References
        ?? throw new SerializerException($"A reference of type {typeof(T)} can only be sent or received within a silo or a client.");

    public void Build(CodecProvider provider)
    {
        _provider = provider;
        _identity = provider.Get<Runtime.GrainId>();
    }

    public override void Write(WireWriter writer, T? value)
    {
        writer.WriteBool(value is not null);
        if (value is not null)
        {
            _identity.Write(writer, References.GetIdentity(value, typeof(T)));
        }
    }

    public override T? Read(WireReader reader)
    {
        if (!reader.ReadBool())
        {
            return null;
        }

        Runtime.GrainId id = _identity.Read(reader);
        return (T)References.CreateReference(id, typeof(T));
    }

    /// <summary>A reference cannot change. A grain or observer given for one becomes a reference, as it would on the way out.</summary>
    public override T? Copy(T? value) =>
        value is null ? null : (T)References.CreateReference(References.GetIdentity(value, typeof(T)), typeof(T));
}
