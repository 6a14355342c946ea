using System.Buffers.Binary;
using System.Reflection;
using Arus.Protocol;
using Arus.Testing;

namespace Arus.Kafka.Tests;

/// <summary>
/// Requests of every API and version, as clients would send them and changed in a few bytes. Whatever a client sends, it is answered or its
/// connection is closed with a line that says why; nothing fails in a way that nobody expected, and nothing stays behind.
/// </summary>
public sealed class WireFuzzTests
{
    private const int Frames = 2_000;

    /// <summary>The topics in memory make as many partitions as they are told; the limits of real ones are tested where they are.</summary>
    private static readonly HashSet<ApiKey> Left = [ApiKey.CreateTopics, ApiKey.CreatePartitions];

    /// <summary>Whose answers may wait for what nobody brings about here: their clients go at once.</summary>
    private static readonly HashSet<ApiKey> Waits = [ApiKey.JoinGroup, ApiKey.SyncGroup, ApiKey.Fetch];

    [Fact]
    public Task Whatever_a_client_sends_is_answered_or_refused() => Seeds.RunAsync(fresh: 2, RunAsync);

    private static async Task RunAsync(int seed)
    {
        var random = new Random(seed);
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        ApiHandler[] handlers =
        [
            .. kafka.Get<HandlerRegistry>().Versions
                .Select(api => kafka.Get<HandlerRegistry>().Find((ApiKey)api.ApiKey)!)
                .Where(handler => !Left.Contains(handler.Api.Key)),
        ];
        int answered = 0;
        int known = 0;
        for (int i = 0; i < Frames; i++)
        {
            ApiHandler handler = handlers[random.Next(handlers.Length)];
            if (TryEncode(handler, random) is not { } frame)
                continue;

            byte[] sent = i % 4 == 0 ? frame : Change(frame, random);
            TestConnection connection = kafka.Connect();
            await connection.SendRawAsync(sent);
            bool goes = i % 10 == 0 || Waits.Contains((ApiKey)BinaryPrimitives.ReadInt16BigEndian(sent.AsSpan(sizeof(int))));
            await (goes ? connection.CloseAsync() : connection.EndAsync());
            await connection.Serving;
            answered += !goes && connection.HasResponse() ? 1 : 0;

            // Its lines are limited in number in an interval.
            string[] complaints = kafka.Complaints;
            Assert.All(complaints[known..], line => Assert.True(
                line.StartsWith("Connection from ", StringComparison.Ordinal)
                    && !line.Contains("unexpectedly", StringComparison.Ordinal),
                $"Frame {i}, {handler.Api.Key}: {line}\n{Convert.ToHexString(sent)}"));
            known = complaints.Length;
            kafka.Time.Advance(LineLimit.Interval);
        }

        Assert.InRange(answered, Frames / 4, Frames);
        Assert.Equal(0, kafka.Get<ConnectionRegistry>().Count);
        Assert.Equal(0, kafka.Get<RequestMemory>().UsedBytes);
        Assert.Equal(0, kafka.Get<ResponseMemory>().UsedBytes);
    }

    private static byte[]? TryEncode(ApiHandler handler, Random random)
    {
        Type type = typeof(ProduceRequest).Assembly.GetType($"Arus.Protocol.{handler.Api.Key}Request", throwOnError: true)!;
        var request = (IApiMessage)Fill(type, random);
        short version = (short)random.Next(handler.MinVersion, handler.Api.MaxVersion + 1);
        try
        {
            return TestConnection.Encode(request, version, 1);
        }
        catch (ProtocolException)
        {
            // The version has no room for what the request says.
            return null;
        }
    }

    private static object Fill(Type type, Random random)
    {
        object message = Activator.CreateInstance(type)!;
        foreach (PropertyInfo property in type.GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            if (property.SetMethod is not null && random.Next(8) != 0)
                property.SetValue(message, Value(property.PropertyType, property.GetValue(message), random));
        }

        return message;
    }

    private static object? Value(Type type, object? current, Random random)
    {
        if (type == typeof(string))
            return random.Next(4) == 0 ? current : random.Next(3) == 0 ? "group" : "topic";

        if (type == typeof(Records))
            return new Records(Messages.Batch("a", "b"));

        if (type == typeof(ReadOnlyMemory<byte>) || type == typeof(ReadOnlyMemory<byte>?))
            return new ReadOnlyMemory<byte>([0, 1, 2]);

        if (type.IsArray)
        {
            Type element = type.GetElementType()!;
            var array = Array.CreateInstance(element, random.Next(3));
            for (int i = 0; i < array.Length; i++)
                array.SetValue(Element(element, random), i);

            return array;
        }

        int number = random.Next(4) == 0 ? random.Next(-3, 10) : random.Next(2);
        return type == typeof(int) ? number
            : type == typeof(long) ? (long)number
            : type == typeof(short) ? (short)number
            : type == typeof(sbyte) ? (sbyte)number
            : type == typeof(bool) ? random.Next(2) == 0
            : current;
    }

    private static object? Element(Type type, Random random) => type == typeof(string) ? Value(type, "other", random)
        : type.IsValueType || type.IsArray ? Value(type, type.IsArray ? null : Activator.CreateInstance(type), random)
        : Fill(type, random);

    /// <summary>Changes a few bytes, or the length, but mostly not the size in front, which would only end the connection.</summary>
    private static byte[] Change(byte[] frame, Random random)
    {
        var changed = new List<byte>(frame);
        for (int changes = random.Next(1, 5); changes > 0; changes--)
        {
            int at = random.Next(sizeof(int), changed.Count);
            switch (random.Next(4))
            {
                case 0:
                    changed[at] = (byte)random.Next(256);
                    break;
                case 1:
                    changed[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2 when changed.Count > 20:
                    changed.RemoveAt(at);
                    break;
                default:
                    changed.Insert(at, random.Next(2) == 0 ? byte.MaxValue : (byte)0);
                    break;
            }
        }

        byte[] bytes = [.. changed];
        if (random.Next(20) != 0)
            BinaryPrimitives.WriteInt32BigEndian(bytes, bytes.Length - sizeof(int));

        return bytes;
    }
}
