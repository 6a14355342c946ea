using System.Buffers;
using System.Reflection;
using System.Text.Json;
using Arus.Protocol;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Serialization;

namespace Arus.Grains.Tests;

/// <summary>Kafka's messages in grain calls: as the wire has them in the version that names topics, and shared within a silo.</summary>
public sealed class MessageCodecTests
{
    private static readonly ServiceProvider Services = new ServiceCollection().AddSerializer().BuildServiceProvider();

    private static readonly MethodInfo RoundTripMethod =
        typeof(MessageCodecTests).GetMethod(nameof(RoundTrip), BindingFlags.NonPublic | BindingFlags.Static)!;

    /// <summary>Every message that a grain takes or returns.</summary>
    public static TheoryData<Type> Messages() => new(typeof(IGroupGrain).Assembly.GetTypes()
        .Where(type => type.IsInterface && typeof(IGrain).IsAssignableFrom(type))
        .SelectMany(grain => grain.GetMethods())
        .SelectMany(call => call.GetParameters().Select(parameter => parameter.ParameterType).Concat(call.ReturnType.GenericTypeArguments))
        .Where(type => typeof(IApiMessage).IsAssignableFrom(type))
        .Distinct());

    [Theory, MemberData(nameof(Messages))]
    public void A_message_crosses_as_the_wire_has_it(Type type)
    {
        MethodInfo roundTrip = RoundTripMethod.MakeGenericMethod(type);
        roundTrip.Invoke(null, [Activator.CreateInstance(type)]);
        roundTrip.Invoke(null, [Samples.Make(type)]);
    }

    [Fact]
    public void Grains_take_and_return_messages() => Assert.InRange(Messages().Count, 18, int.MaxValue);

    [Fact]
    public void A_message_that_is_null_or_sent_twice_in_one_call_stays_that()
    {
        var serializer = Services.GetRequiredService<Serializer>();
        var request = new HeartbeatRequest { GroupId = "g" };
        (HeartbeatRequest? first, HeartbeatRequest? second, HeartbeatRequest? none) =
            serializer.Deserialize<(HeartbeatRequest?, HeartbeatRequest?, HeartbeatRequest?)>(
                serializer.SerializeToArray<(HeartbeatRequest?, HeartbeatRequest?, HeartbeatRequest?)>((request, request, null)));

        Assert.Equal("g", first!.GroupId);
        Assert.Same(first, second);
        Assert.Null(none);
    }

    [Fact]
    public void The_caller_crosses()
    {
        var serializer = Services.GetRequiredService<Serializer>();
        var caller = new Caller("client", "/10.0.0.1", 9);
        Assert.Equal(caller, serializer.Deserialize<Caller>(serializer.SerializeToArray(caller)));
    }

    private static void RoundTrip<T>(T message)
        where T : class, IApiMessage<T>
    {
        short version = T.Descriptor.Key is ApiKey.OffsetCommit or ApiKey.OffsetFetch ? (short)9 : T.Descriptor.MaxVersion;
        var wire = new ArrayBufferWriter<byte>();
        var writer = new WireWriter(wire);
        message.Write(ref writer, version);
        writer.Flush();
        var reader = new WireReader(wire.WrittenMemory);

        byte[] bytes = Services.GetRequiredService<Serializer>().SerializeToArray(message);
        byte[] carried = [0, (byte)version, .. wire.WrittenSpan];
        Assert.True(bytes.AsSpan().IndexOf(carried) >= 0, $"{typeof(T).Name} has other bytes than on the wire");
        T? crossed = Services.GetRequiredService<Serializer>().Deserialize<T>(bytes);
        Assert.Equal(JsonSerializer.Serialize(T.Read(ref reader, version)), JsonSerializer.Serialize(crossed));
        Assert.Same(message, Services.GetRequiredService<DeepCopier>().Copy(message));
    }
}
