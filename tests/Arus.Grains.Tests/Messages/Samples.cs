using System.Buffers.Binary;
using System.Net;
using System.Reflection;
using System.Text;
using Orleans.Runtime;

namespace Arus.Grains.Tests;

/// <summary>
/// Makes values in which no member has its default. A member's value follows from its name and that of its type, so that two members
/// which change places are found out, and a new member changes no other.
/// </summary>
internal static class Samples
{
    private const int MaxDepth = 8;

    /// <summary>Those that came after the golden lines: a new one must not change the value of a sample.</summary>
    private static readonly ErrorCode[] LaterErrorCodes =
    [
        ErrorCode.InvalidUpdateVersion, ErrorCode.MismatchedEndpointType, ErrorCode.UnsupportedEndpointType, ErrorCode.RebootstrapRequired,
        ErrorCode.TransactionAbortable,
    ];

    public static object Make(Type type) => Make(type, type.Name, depth: 0);

    private static object Make(Type type, string name, int depth)
    {
        Assert.True(depth < MaxDepth, $"{type} contains itself.");
        if (Simple(type, name) is { } simple)
            return simple;

        if (Nullable.GetUnderlyingType(type) is { } underlying)
            return Make(underlying, name, depth + 1);

        if (type.IsArray)
        {
            var array = Array.CreateInstance(type.GetElementType()!, 2);
            array.SetValue(Make(type.GetElementType()!, $"{name}[0]", depth + 1), 0);
            array.SetValue(Make(type.GetElementType()!, $"{name}[1]", depth + 1), 1);
            return array;
        }

        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(Dictionary<,>))
        {
            var dictionary = (System.Collections.IDictionary)Activator.CreateInstance(type)!;
            Type[] arguments = type.GetGenericArguments();
            dictionary.Add(Make(arguments[0], $"{name} key", depth + 1), Make(arguments[1], $"{name} value", depth + 1));
            return dictionary;
        }

        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(List<>))
        {
            var list = (System.Collections.IList)Activator.CreateInstance(type)!;
            list.Add(Make(type.GetGenericArguments()[0], $"{name}[0]", depth + 1));
            return list;
        }

        return Build(type, depth);
    }

    private static object? Simple(Type type, string name)
    {
        byte[] hash = System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes(name));
        long number = BinaryPrimitives.ReadInt64BigEndian(hash) | 1;
        return Type.GetTypeCode(type) switch
        {
            _ when type == typeof(ErrorCode) => Pick(Enum.GetValues<ErrorCode>().Except(LaterErrorCodes).ToArray(), number),
            _ when type.IsEnum => Pick(Enum.GetValues(type), number),
            TypeCode.Boolean => true,
            TypeCode.Byte => (byte)number,
            TypeCode.Int16 => (short)number,
            TypeCode.Int32 => (int)number,
            TypeCode.Int64 => number,
            TypeCode.Double => number / 4096.0,
            TypeCode.String => $"{name} ü",
            TypeCode.DateTime => new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc).AddMinutes((int)number & 0xffff),
            _ when type == typeof(Guid) => new Guid(hash.AsSpan(0, 16)),
            _ when type == typeof(TimeSpan) => TimeSpan.FromTicks(number),
            _ when type == typeof(ReadOnlyMemory<byte>) => new ReadOnlyMemory<byte>(hash, 0, 3),
            _ when type == typeof(SiloAddress) => SiloAddress.New(new IPAddress(hash.AsSpan(0, 4)), hash[4], hash[5]),
            _ when type == typeof(RecordBytes) => new RecordBytes([hash.AsMemory(0, 3), hash.AsMemory(3, 2)]),
            _ => null,
        };
    }

    private static object? Pick(Array values, long number) => values.GetValue(1 + (int)((ulong)number % (ulong)(values.Length - 1)));

    private static object Build(Type type, int depth)
    {
        // The longest constructor that does not copy: for a record its positions, for an exception its code, message and cause.
        ConstructorInfo? constructor = type.GetConstructors()
            .Where(c => c.GetParameters().All(p => p.ParameterType != type))
            .OrderByDescending(c => c.GetParameters().Length).FirstOrDefault();
        object?[] arguments = [.. (constructor?.GetParameters() ?? []).Select(
            p => typeof(Exception).IsAssignableFrom(p.ParameterType) ? null : Make(p.ParameterType, $"{type.Name}.{p.Name}", depth + 1))];
        object value = constructor is null ? Activator.CreateInstance(type)! : constructor.Invoke(arguments);
        foreach (PropertyInfo property in type.GetProperties().Where(
            p => p.SetMethod is { IsPublic: true } && (p.IsDefined(typeof(IdAttribute)) || IsOfProtocol(type))))
        {
            property.SetValue(value, Make(property.PropertyType, $"{type.Name}.{property.Name}", depth + 1));
        }

        return value;
    }

    /// <summary>A message of the wire or a structure of one, all of whose properties cross.</summary>
    private static bool IsOfProtocol(Type type) => type.Assembly == typeof(Protocol.IApiMessage).Assembly;
}
