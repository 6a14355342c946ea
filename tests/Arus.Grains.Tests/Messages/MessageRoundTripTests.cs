using System.Reflection;
using System.Text.Json;
using Arus.Grains;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Serialization;

namespace Arus.Grains.Tests;

/// <summary>Every type that Arus' grains exchange survives the serializer and the copier, with every member filled.</summary>
public sealed class MessageRoundTripTests
{
    private static readonly ServiceProvider Services = new ServiceCollection().AddSerializer().BuildServiceProvider();
    private static readonly MethodInfo _roundTrip = typeof(MessageRoundTripTests).GetMethod(nameof(RoundTrip), BindingFlags.NonPublic | BindingFlags.Instance)!;

    public static TheoryData<Type> Messages() => new(typeof(ITopicGrain).Assembly.GetTypes()
        .Where(t => t.IsDefined(typeof(GenerateSerializerAttribute), inherit: false) && !t.IsAbstract && !t.IsGenericTypeDefinition)
        .Where(t => !t.Name.EndsWith("Surrogate", StringComparison.Ordinal))
        .Append(typeof(TopicPartition)));

    [Theory, MemberData(nameof(Messages))]
    public void A_message_round_trips(Type type) => _roundTrip.MakeGenericMethod(type).Invoke(this, [Samples.Make(type, depth: 0)]);

    private void RoundTrip<T>(T value)
    {
        var serializer = Services.GetRequiredService<Serializer>();
        byte[] bytes = serializer.SerializeToArray(value);
        Assert.Equal(Describe(value), Describe(serializer.Deserialize<T>(bytes)));
        Assert.Equal(Describe(value), Describe(Services.GetRequiredService<DeepCopier>().Copy(value)));
    }

    private static string Describe<T>(T value) => value is Exception exception
        ? $"{exception.GetType()} {exception.Message} {string.Join(' ', exception.GetType().GetProperties(BindingFlags.Instance | BindingFlags.Public | BindingFlags.DeclaredOnly).Select(p => p.GetValue(exception)))}"
        : JsonSerializer.Serialize(value);
}

/// <summary>Makes values in which no member has its default.</summary>
internal static class Samples
{
    private const int MaxDepth = 8;

    public static object Make(Type type, int depth)
    {
        Assert.True(depth < MaxDepth, $"{type} contains itself.");
        if (Simple(type) is { } simple)
        {
            return simple;
        }

        if (Nullable.GetUnderlyingType(type) is { } underlying)
        {
            return Make(underlying, depth + 1);
        }

        if (type.IsArray)
        {
            var array = Array.CreateInstance(type.GetElementType()!, 2);
            array.SetValue(Make(type.GetElementType()!, depth + 1), 0);
            array.SetValue(Make(type.GetElementType()!, depth + 1), 1);
            return array;
        }

        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(Dictionary<,>))
        {
            var dictionary = (System.Collections.IDictionary)Activator.CreateInstance(type)!;
            Type[] arguments = type.GetGenericArguments();
            dictionary.Add(Make(arguments[0], depth + 1), Make(arguments[1], depth + 1));
            return dictionary;
        }

        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(List<>))
        {
            var list = (System.Collections.IList)Activator.CreateInstance(type)!;
            list.Add(Make(type.GetGenericArguments()[0], depth + 1));
            return list;
        }

        return Build(type, depth);
    }

    private static object? Simple(Type type) => Type.GetTypeCode(type) switch
    {
        _ when type.IsEnum => Enum.GetValues(type).GetValue(Enum.GetValues(type).Length - 1),
        TypeCode.Boolean => true,
        TypeCode.Byte => (byte)250,
        TypeCode.Int16 => (short)-3,
        TypeCode.Int32 => int.MinValue + 4,
        TypeCode.Int64 => long.MaxValue - 5,
        TypeCode.Double => 6.25,
        TypeCode.String => "seven ü",
        TypeCode.DateTime => new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc),
        _ when type == typeof(Guid) => new Guid("00112233-4455-6677-8899-aabbccddeeff"),
        _ when type == typeof(TimeSpan) => TimeSpan.FromTicks(8),
        _ when type == typeof(ReadOnlyMemory<byte>) => new ReadOnlyMemory<byte>([9, 10, 11]),
        _ => null,
    };

    private static object Build(Type type, int depth)
    {
        // The longest constructor that does not copy: for a record its positions, for an exception its code, message and cause.
        ConstructorInfo? constructor = type.GetConstructors()
            .Where(c => c.GetParameters().All(p => p.ParameterType != type))
            .OrderByDescending(c => c.GetParameters().Length).FirstOrDefault();
        object?[] arguments = [.. (constructor?.GetParameters() ?? []).Select(
            p => typeof(Exception).IsAssignableFrom(p.ParameterType) ? null : Make(p.ParameterType, depth + 1))];
        object value = constructor is null ? Activator.CreateInstance(type)! : constructor.Invoke(arguments);
        foreach (PropertyInfo property in type.GetProperties().Where(p => p.IsDefined(typeof(IdAttribute)) && p.SetMethod is { IsPublic: true }))
        {
            property.SetValue(value, Make(property.PropertyType, depth + 1));
        }

        return value;
    }
}
