using System.Reflection;

namespace Arus.Protocol.Tests;

/// <summary>Fills messages with seeded values: every property of every structure, whatever versions know it.</summary>
/// <param name="maxBytes">How long byte fields and strings may be.</param>
internal sealed class MessageFiller(int seed, int maxBytes = 300)
{
    private readonly Random _random = new(seed);

    public object Fill(Type type)
    {
        object value = Activator.CreateInstance(type)!;
        foreach (PropertyInfo property in type.GetProperties(BindingFlags.Instance | BindingFlags.Public).Where(p => p.CanWrite))
            property.SetValue(value, Value(property.PropertyType));

        return value;
    }

    private object Value(Type declared)
    {
        Type type = Nullable.GetUnderlyingType(declared) ?? declared;
        if (type.IsArray)
        {
            Type element = type.GetElementType()!;
            var array = Array.CreateInstance(element, _random.Next(1, 4));
            for (int i = 0; i < array.Length; i++)
                array.SetValue(Value(element), i);

            return array;
        }

        return type.IsEnum ? (ErrorCode)_random.Next(-1, 100) : type == typeof(string) ? Text() : Primitive(type) ?? Fill(type);
    }

    private object? Primitive(Type type) => Type.GetTypeCode(type) switch
    {
        TypeCode.Boolean => _random.Next(2) == 0,
        TypeCode.SByte => (sbyte)_random.Next(sbyte.MinValue, sbyte.MaxValue),
        TypeCode.Int16 => (short)_random.Next(short.MinValue, short.MaxValue),
        TypeCode.UInt16 => (ushort)_random.Next(ushort.MaxValue),
        TypeCode.Int32 => _random.Next(int.MinValue, int.MaxValue),
        TypeCode.Int64 => _random.NextInt64(long.MinValue, long.MaxValue),
        TypeCode.Double => _random.NextDouble(),
        _ when type == typeof(Guid) => new Guid(Bytes(16)),
        _ when type == typeof(ReadOnlyMemory<byte>) => new ReadOnlyMemory<byte>(Bytes(_random.Next(0, maxBytes))),
        _ when type == typeof(Records) => new Records([Bytes(_random.Next(0, maxBytes)), Bytes(_random.Next(0, 3 * maxBytes))]),
        _ => null,
    };

    private byte[] Bytes(int length)
    {
        var bytes = new byte[length];
        _random.NextBytes(bytes);
        return bytes;
    }

    private string Text() => string.Concat(Enumerable.Range(0, _random.Next(1, maxBytes / 2)).Select(_ => (char)_random.Next(' ', 0x7FF)));
}
