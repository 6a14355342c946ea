using System.Buffers.Binary;
using System.Diagnostics;
using System.Reflection;
using Arus.Protocol;
using Arus.Testing;
using Xunit.Abstractions;

namespace Arus.Kafka.Tests;

/// <summary>
/// Requests of every API and version, as clients would send them and changed in a few bytes. Whatever a client sends, it is answered or its
/// connection is closed with a line that says why; nothing fails in a way that nobody expected, and nothing stays behind.
/// </summary>
public sealed class WireFuzzTests(ITestOutputHelper output)
{
    /// <summary>Frames of one seed.</summary>
    private const int Frames = 2_000;

    /// <summary>Fresh seeds are tried for so many seconds; without it two of them.</summary>
    private const string SecondsVariable = "FUZZ_SECONDS";

    /// <summary>A request of every API and version, and each frame that was once handled wrongly; hexadecimal, a line each.</summary>
    private const string CorpusFile = "Corpus/requests.txt";

    /// <summary>The topics in memory make as many partitions as they are told; the limits of real ones are tested where they are.</summary>
    private static readonly HashSet<ApiKey> Left = [ApiKey.CreateTopics, ApiKey.CreatePartitions];

    /// <summary>Whose answers may wait for what nobody brings about here: their clients go at once.</summary>
    private static readonly HashSet<ApiKey> Waits = [ApiKey.JoinGroup, ApiKey.SyncGroup, ApiKey.Fetch];

    private static readonly byte[][] Corpus =
        [.. File.ReadLines(Path.Combine(AppContext.BaseDirectory, CorpusFile)).Select(Convert.FromHexString)];

    [Fact]
    public async Task Whatever_a_client_sends_is_answered_or_refused()
    {
        _ = int.TryParse(Environment.GetEnvironmentVariable(SecondsVariable), out int seconds);
        var watch = Stopwatch.StartNew();
        long frames = 0;
        do
        {
            await Seeds.RunAsync(fresh: 2, RunAsync);
            frames += 2 * Frames;
        }
        while (watch.Elapsed.TotalSeconds < seconds);

        output.WriteLine($"{frames} frames in {watch.Elapsed.TotalSeconds:F0} s");
    }

    [Fact]
    public async Task Every_frame_of_the_corpus_is_answered_or_refused()
    {
        await using var fuzz = new Fuzz();
        foreach (byte[] frame in Corpus)
            await fuzz.SendAsync(frame, goes: false);

        fuzz.AssertNothingIsLeft();
    }

    [Fact]
    public async Task The_corpus_has_every_api_and_version_that_is_served()
    {
        await using var fuzz = new Fuzz();
        (ApiKey, short)[] served =
        [
            .. fuzz.Handlers.SelectMany(handler => Enumerable.Range(handler.MinVersion, handler.Api.MaxVersion - handler.MinVersion + 1)
                .Select(version => (handler.Api.Key, (short)version))),
        ];
        (ApiKey, short)[] missing = [.. served.Except(Corpus.Select(frame => (Api(frame), Version(frame))))];
        var random = new Random(1);
        IEnumerable<string> lines = missing.Select(((ApiKey Api, short Version) wanted) => Convert.ToHexString(
            Enumerable.Range(0, 1_000).Select(_ => TryEncode(fuzz.Find(wanted.Api), random, wanted.Version))
                .First(frame => frame is not null)!));
        Assert.True(missing.Length == 0, $"Add these lines to {CorpusFile}:\n{string.Join('\n', lines)}");
    }

    private static async Task RunAsync(int seed)
    {
        var random = new Random(seed);
        await using var fuzz = new Fuzz();
        int answered = 0;
        for (int i = 0; i < Frames; i++)
        {
            byte[]? frame = i % 4 == 1
                ? Corpus[random.Next(Corpus.Length)]
                : TryEncode(fuzz.Handlers[random.Next(fuzz.Handlers.Length)], random);
            if (frame is null || Left.Contains(Api(frame)))
                continue;

            byte[] sent = i % 4 == 0 ? frame : Change(frame, random);
            answered += await fuzz.SendAsync(sent, goes: i % 10 == 0) ? 1 : 0;
        }

        Assert.InRange(answered, Frames / 4, Frames);
        fuzz.AssertNothingIsLeft();
    }

    private static ApiKey Api(byte[] frame) => (ApiKey)BinaryPrimitives.ReadInt16BigEndian(frame.AsSpan(sizeof(int)));

    private static short Version(byte[] frame) => BinaryPrimitives.ReadInt16BigEndian(frame.AsSpan(sizeof(int) + sizeof(short)));

    /// <summary>A listener, and what is to hold of it after each frame.</summary>
    private sealed class Fuzz : IAsyncDisposable
    {
        private readonly KafkaHarness _kafka = new();
        private int _known;

        public Fuzz()
        {
            _kafka.Cluster.AddTopic("topic", 2);
            Handlers =
            [
                .. _kafka.Get<HandlerRegistry>().Versions.Select(api => Find((ApiKey)api.ApiKey))
                    .Where(handler => !Left.Contains(handler.Api.Key)),
            ];
        }

        public ApiHandler[] Handlers { get; }

        public ApiHandler Find(ApiKey key) => _kafka.Get<HandlerRegistry>().Find(key)!;

        /// <param name="goes">Whether the client is gone before it is answered.</param>
        /// <returns>Whether it was answered.</returns>
        public async Task<bool> SendAsync(byte[] sent, bool goes)
        {
            TestConnection connection = _kafka.Connect();
            await connection.SendRawAsync(sent);
            goes |= Waits.Contains(Api(sent));
            await (goes ? connection.CloseAsync() : connection.EndAsync());
            try
            {
                await connection.Serving;
            }
            catch (TimeoutException)
            {
                Assert.Fail($"{Api(sent)} {Version(sent)} is served for ever{(goes ? " though its client is gone" : "")}:\n"
                    + $"Add the frame to {CorpusFile} with the mend:\n{Convert.ToHexString(sent)}");
            }

            // Its lines are limited in number in an interval.
            string[] complaints = _kafka.Complaints;
            Assert.All(complaints[_known..], line => Assert.True(
                line.StartsWith("Connection from ", StringComparison.Ordinal)
                    && !line.Contains("unexpectedly", StringComparison.Ordinal),
                $"{line}\nAdd the frame to {CorpusFile} with the mend:\n{Convert.ToHexString(sent)}"));
            _known = complaints.Length;
            _kafka.Time.Advance(LineLimit.Interval);
            return !goes && connection.HasResponse();
        }

        public void AssertNothingIsLeft()
        {
            Assert.Equal(0, _kafka.Get<ConnectionRegistry>().Count);
            Assert.Equal(0, _kafka.Get<RequestMemory>().UsedBytes);
            Assert.Equal(0, _kafka.Get<ResponseMemory>().UsedBytes);
        }

        public ValueTask DisposeAsync() => _kafka.DisposeAsync();
    }

    private static byte[]? TryEncode(ApiHandler handler, Random random, short? wanted = null)
    {
        Type type = typeof(ProduceRequest).Assembly.GetType($"Arus.Protocol.{handler.Api.Key}Request", throwOnError: true)!;
        var request = (IApiMessage)Fill(type, random);
        short version = wanted ?? (short)random.Next(handler.MinVersion, handler.Api.MaxVersion + 1);
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
