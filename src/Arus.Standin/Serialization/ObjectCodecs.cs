using System.Reflection;
using System.Runtime.CompilerServices;

namespace Orleans.Serialization;

/// <summary>A struct: its members, one after the other.</summary>
internal sealed class StructCodec<T> : Codec<T>, IBuiltCodec where T : struct
{
    private WriteMembers<T> _write = null!;
    private ReadMembers<T> _read = null!;
    private CopyMembers<T> _copy = null!;
    private bool _shared;
    private bool _empty;
    private int _minSize = 1;

    public override bool IsShared => _shared;

    public override int MinSize => _minSize;

    public void Build(CodecProvider provider)
    {
        IReadOnlyList<SerializableMember> members = SerializableMembers.Of(typeof(T));
        var emitter = new MemberEmitter<T>(members, provider);
        _write = emitter.EmitWrite();
        _read = emitter.EmitRead();
        _copy = emitter.EmitCopy();
        _empty = members.Count == 0;
        _minSize = Math.Max(1, emitter.MinSize);
        _shared = typeof(T).IsDefined(typeof(ImmutableAttribute), inherit: false) || emitter.AllShared;
    }

    public override void Write(WireWriter writer, T value)
    {
        if (_empty)
        {
            // Every value takes a byte, so that announced counts can be checked against what is left.
            writer.WriteByte(0);
        }

        _write(writer, ref value);
    }

    public override T Read(WireReader reader)
    {
        if (_empty)
        {
            reader.ReadByte();
        }

        T value = default;
        _read(reader, ref value);
        return value;
    }

    public override T Copy(T value)
    {
        if (_shared)
        {
            return value;
        }

        T copy = default;
        _copy(ref value, ref copy);
        return copy;
    }
}

/// <summary>A class: a marker for null, exactly this type, or a derived one by name; then the members.</summary>
internal sealed class ObjectCodec<T> : Codec<T?>, IBuiltCodec where T : class
{
    private CodecProvider _provider = null!;
    private Func<T> _create = null!;
    private WriteMembers<T> _write = null!;
    private ReadMembers<T> _read = null!;
    private CopyMembers<T> _copy = null!;
    private bool _immutable;

    // A derived type may be mutable although this one is not, so only a sealed one answers for all its values.
    public override bool IsShared => _immutable && typeof(T).IsSealed;

    public void Build(CodecProvider provider)
    {
        _provider = provider;
        var emitter = new MemberEmitter<T>(SerializableMembers.Of(typeof(T)), provider);
        _create = MemberEmitter<T>.EmitCreate();
        _write = emitter.EmitWrite();
        _read = emitter.EmitRead();
        _copy = emitter.EmitCopy();

        // Of the classes without the attribute, only the framework's tuples are known to be unchangeable.
        _immutable = typeof(T).IsDefined(typeof(ImmutableAttribute), inherit: false)
            || (typeof(T).Namespace == nameof(System) && emitter.AllShared);
    }

    public override void Write(WireWriter writer, T? value)
    {
        if (value is null)
        {
            writer.WriteByte(WireFormat.Null);
        }
        else if (value.GetType() == typeof(T))
        {
            writer.WriteByte(WireFormat.ExpectedType);
            writer.Enter(typeof(T));
            _write(writer, ref value);
            writer.Leave();
        }
        else
        {
            Polymorphic.Write(_provider, writer, value);
        }
    }

    public override T? Read(WireReader reader)
    {
        switch (reader.ReadByte())
        {
            case WireFormat.Null:
                return null;
            case WireFormat.ExpectedType:
                reader.Enter(typeof(T));
                T value = _create();
                _read(reader, ref value);
                reader.Leave();
                return value;
            case WireFormat.NamedType:
                return (T)Polymorphic.Read(_provider, reader, typeof(T));
            case byte marker:
                throw reader.Corrupt($"{marker} cannot begin a value of type {typeof(T)}");
        }
    }

    public override T? Copy(T? value)
    {
        if (value is null)
        {
            return null;
        }

        if (value.GetType() != typeof(T))
        {
            return (T)Polymorphic.Copy(_provider, value);
        }

        if (_immutable)
        {
            return value;
        }

        RuntimeHelpers.EnsureSufficientExecutionStack();
        T copy = _create();
        _copy(ref value, ref copy);
        return copy;
    }
}

/// <summary>Interfaces, abstract classes and <see cref="object"/>: the value's own type is always named.</summary>
internal sealed class AbstractCodec<T> : Codec<T?>, IBuiltCodec where T : class
{
    private CodecProvider _provider = null!;

    public void Build(CodecProvider provider) => _provider = provider;

    public override void Write(WireWriter writer, T? value)
    {
        if (value is null)
        {
            writer.WriteByte(WireFormat.Null);
        }
        else
        {
            Polymorphic.Write(_provider, writer, value);
        }
    }

    public override T? Read(WireReader reader) => reader.ReadByte() switch
    {
        WireFormat.Null => null,
        WireFormat.NamedType => (T)Polymorphic.Read(_provider, reader, typeof(T)),
        byte marker => throw reader.Corrupt($"{marker} cannot begin a value of type {typeof(T)}"),
    };

    public override T? Copy(T? value) => value is null ? null : (T)Polymorphic.Copy(_provider, value);
}

/// <summary>Values of a type that their declaration does not tell.</summary>
internal static class Polymorphic
{
    public static void Write(CodecProvider provider, WireWriter writer, object value)
    {
        Type type = value.GetType();
        Codec codec = provider.Get(type);
        writer.WriteByte(WireFormat.NamedType);
        writer.WriteString(provider.Names.NameOf(type));
        writer.Enter(type);
        codec.WriteObject(writer, value);
        writer.Leave();
    }

    /// <summary>Reads what <see cref="Write"/> wrote after the marker.</summary>
    public static object Read(CodecProvider provider, WireReader reader, Type expected)
    {
        string name = reader.ReadString() ?? throw reader.Corrupt("the name of a type is missing");
        Type type = provider.Names.Find(name)
            ?? throw new SerializerException($"A value of type \"{name}\" was received, which does not exist in this process.");
        if (!type.IsAssignableTo(expected))
        {
            throw reader.Corrupt($"a value of type {type} stands where {expected} is expected");
        }

        Codec codec = provider.Get(type);
        reader.Enter(type);
        object value = codec.ReadObject(reader) ?? throw reader.Corrupt($"a null stands for a value of type {type}");
        reader.Leave();
        return value;
    }

    public static object Copy(CodecProvider provider, object value)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        return provider.Get(value.GetType()).CopyObject(value)!;
    }
}
