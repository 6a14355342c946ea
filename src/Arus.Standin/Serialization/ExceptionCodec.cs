using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

namespace Orleans.Serialization;

/// <summary>
/// Exceptions, of any type: the type's name, the message, the stack trace as text, the inner exception and, for
/// <c>[GenerateSerializer]</c> types, their members. Where the type is unknown, an
/// <see cref="UnavailableExceptionFallbackException"/> with the same message stands for it. Copies are the exception itself.
/// </summary>
internal sealed class ExceptionCodec<T> : Codec<T?>, IBuiltCodec where T : Exception
{
    private ExceptionParts _parts = null!;

    public override bool IsShared => true;

    public void Build(CodecProvider provider) => _parts = new ExceptionParts(provider);

    public override void Write(WireWriter writer, T? value) => _parts.Write(writer, value);

    public override T? Read(WireReader reader)
    {
        Exception? exception = _parts.Read(reader);
        return exception is null or T
            ? (T?)exception
            : throw new SerializerException($"An exception of type {typeof(T)} was expected: {exception}", exception);
    }

    public override T? Copy(T? value) => value;
}

internal sealed class ExceptionParts(CodecProvider provider)
{
    private readonly ConcurrentDictionary<Type, ExceptionMembers> _members = new();

    public void Write(WireWriter writer, Exception? value)
    {
        if (value is null)
        {
            writer.WriteByte(WireFormat.Null);
            return;
        }

        writer.WriteByte(WireFormat.NamedType);
        writer.Enter(value.GetType());
        string? originalType = (value as UnavailableExceptionFallbackException)?.ExceptionType;
        writer.WriteString(originalType ?? provider.Names.NameOf(value.GetType()));
        writer.WriteString(value.Message);
        writer.WriteString(value.StackTrace);
        writer.WriteVarInt32(value.HResult);
        Write(writer, value.InnerException);

        // Members come as a block, which a process that lacks the type can leave out.
        int length = writer.Reserve(sizeof(int));
        int start = writer.Length;
        MembersOf(value.GetType()).Write(writer, value);
        writer.PatchInt32(length, writer.Length - start);
        writer.Leave();
    }

    public Exception? Read(WireReader reader)
    {
        byte marker = reader.ReadByte();
        if (marker == WireFormat.Null)
        {
            return null;
        }

        if (marker != WireFormat.NamedType)
        {
            throw reader.Corrupt($"{marker} cannot begin an exception");
        }

        reader.Enter(typeof(Exception));
        string name = reader.ReadString() ?? throw reader.Corrupt("the name of an exception's type is missing");
        string? message = reader.ReadString();
        string? stackTrace = reader.ReadString();
        int hResult = reader.ReadVarInt32();
        Exception? inner = Read(reader);
        int length = reader.ReadInt32();
        int rest = reader.Remaining - length;
        if (length < 0 || rest < 0)
        {
            throw reader.Corrupt($"{length} bytes of members are announced and {reader.Remaining} are left");
        }

        Exception exception = Create(name);
        ExceptionFields.Fill(exception, message, stackTrace, inner, hResult);
        if (exception is not UnavailableExceptionFallbackException && length > 0)
        {
            MembersOf(exception.GetType()).Read(reader, exception);
        }

        if (reader.Remaining < rest)
        {
            throw reader.Corrupt($"the members of {name} are longer than announced");
        }

        reader.ReadBytes(reader.Remaining - rest);
        reader.Leave();
        return exception;
    }

    private Exception Create(string name)
    {
        if (provider.Names.Find(name) is { IsAbstract: false, ContainsGenericParameters: false } type && type.IsAssignableTo(typeof(Exception)))
        {
            return type.GetConstructor([]) is { } constructor
                ? (Exception)constructor.Invoke(null)
                : (Exception)RuntimeHelpers.GetUninitializedObject(type);
        }

        return new UnavailableExceptionFallbackException { ExceptionType = name };
    }

    private ExceptionMembers MembersOf(Type type) => _members.GetOrAdd(
        type, (t, p) => (ExceptionMembers)Activator.CreateInstance(typeof(ExceptionMembers<>).MakeGenericType(t), p)!, provider);
}

internal abstract class ExceptionMembers
{
    public abstract void Write(WireWriter writer, Exception exception);

    public abstract void Read(WireReader reader, Exception exception);
}

internal sealed class ExceptionMembers<T> : ExceptionMembers where T : Exception
{
    private readonly WriteMembers<T> _write;
    private readonly ReadMembers<T> _read;

    public ExceptionMembers(CodecProvider provider)
    {
        var emitter = new MemberEmitter<T>(SerializableMembers.Of(typeof(T)), provider);
        _write = emitter.EmitWrite();
        _read = emitter.EmitRead();
    }

    public override void Write(WireWriter writer, Exception exception)
    {
        var value = (T)exception;
        _write(writer, ref value);
    }

    public override void Read(WireReader reader, Exception exception)
    {
        var value = (T)exception;
        _read(reader, ref value);
    }
}

/// <summary>The fields of <see cref="Exception"/> that only its constructors set.</summary>
internal static class ExceptionFields
{
    public static void Fill(Exception exception, string? message, string? stackTrace, Exception? inner, int hResult)
    {
        Message(exception) = message;
        Inner(exception) = inner;
        exception.HResult = hResult;
        if (stackTrace is not null)
        {
            ExceptionDispatchInfo.SetRemoteStackTrace(exception, stackTrace);
        }
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_message")]
    private static extern ref string? Message(Exception exception);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_innerException")]
    private static extern ref Exception? Inner(Exception exception);
}
