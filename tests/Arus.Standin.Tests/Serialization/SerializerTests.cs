using System.Reflection;
using System.Text.Json;
using Orleans;
using Orleans.Serialization;

namespace Arus.Standin.Tests.Serialization;

public sealed class SerializerTests
{
    private readonly CodecProvider _codecs = new();
    private readonly Serializer _serializer;

    public SerializerTests() => _serializer = new Serializer(_codecs);

    private T RoundTrip<T>(T value) => _serializer.Deserialize<T>(_serializer.SerializeToArray(value));

    [Fact]
    public void A_positional_record_keeps_its_parameters_and_numbered_members()
    {
        byte[] payload = [1, 2, 3];

        Positional read = RoundTrip(new Positional(-5, "täxt", payload) { Extra = long.MinValue, NotSent = 99 });

        Assert.Equal((-5, "täxt", long.MinValue), (read.Number, read.Text, read.Extra));
        Assert.Equal(payload, read.Payload.ToArray());
        Assert.Equal(0, read.NotSent);
    }

    [Fact]
    public void Every_supported_kind_of_member_round_trips()
    {
        var value = new Everything
        {
            Bool = true,
            SByte = -3,
            UShort = ushort.MaxValue,
            Char = 'ß',
            ULong = ulong.MaxValue,
            Decimal = -123.4560m,
            Double = double.Epsilon,
            Guid = Guid.Parse("11223344-5566-7788-99aa-bbccddeeff00"),
            DateTime = new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc),
            DateTimeOffset = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.FromMinutes(-330)),
            TimeSpan = TimeSpan.FromTicks(-1),
            Small = Small.Last,
            Short = Short.Negative,
            Large = Large.Top,
            Points = [new(1, -1), new(int.MaxValue, int.MinValue)],
            Lists = new() { ["a"] = [1, 2], ["b"] = [] },
            Set = new(StringComparer.OrdinalIgnoreCase) { "x", "y" },
            Jagged = [[1], [], [2, 3]],
            Immutable = ["p", "q"],
            Pair = (4, null),
            Tuple = new(5, "five"),
            Anything = new List<string> { "z" },
            Interface = new[] { 9, 8 },
            Empties = new Empty[3],
            Uri = new Uri("http://example.org/a?b"),
            Bytes = [0, 255],
            Entry = new("k", 6),
            Promised = new([7]),
            Date = new DateOnly(2026, 2, 28),
        };

        Everything read = RoundTrip(value);

        Assert.Equal(JsonSerializer.Serialize(value), JsonSerializer.Serialize(read));
        Assert.Contains("X", read.Set!);
        Assert.IsType<int[]>(read.Interface);
        Assert.Equal(value.Promised.Value, read.Promised.Value);
        Assert.Equal((value.DateTime, value.DateTime.Kind), (read.DateTime, read.DateTime.Kind));
        Assert.Equal(JsonSerializer.Serialize(value), JsonSerializer.Serialize(new DeepCopier(_codecs).Copy(value)));
    }

    [Fact]
    public void Absent_members_stay_absent()
    {
        Everything read = RoundTrip(new Everything());

        Assert.True(read.Immutable.IsDefault);
        Assert.All([read.Points, read.Lists, read.Set, read.Jagged, read.Anything, read.Uri, read.Bytes, read.Error], Assert.Null);
        Assert.Null(RoundTrip<Animal?>(null));
        Assert.Null(RoundTrip<Foreign?>(null));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(41)]
    [InlineData(42)]
    [InlineData(43)]
    [InlineData(127)]
    [InlineData(128)]
    [InlineData(5000)]
    public void Text_of_any_length_round_trips(int length)
    {
        string text = string.Concat(Enumerable.Repeat("€", length));
        Assert.Equal(text, RoundTrip(text));
    }

    [Fact]
    public void A_derived_value_keeps_its_type_and_the_members_of_its_base()
    {
        var dog = Dog.Create("Rex", 4, Dog.Create("Bo", 5, new Animal { Name = "cat" }));

        var read = Assert.IsType<Dog>(RoundTrip<Animal>(dog));

        Assert.Equal(("Rex", 4), (read.Name, read.Age));
        var friend = Assert.IsType<Dog>(read.Friend);
        Assert.Equal(("Bo", 5, "cat"), (friend.Name, friend.Age, friend.Friend!.Name));
    }

    [Fact]
    public void Members_that_only_a_constructor_sets_round_trip()
    {
        ReadOnlyMembers read = RoundTrip(new ReadOnlyMembers("t", 3));
        Assert.Equal(("t", 3), (read.Text, read.Number));
    }

    [Fact]
    public void A_surrogate_stands_in_for_a_foreign_type()
    {
        Assert.Equal(new Foreign("t", 3), RoundTrip(new Foreign("t", 3)));
        Assert.Equal([new Foreign("t", 3)], RoundTrip(new List<Foreign> { new("t", 3) }));
    }

    [Fact]
    public void A_serializable_exception_keeps_its_members_message_trace_and_cause()
    {
        Exception thrown = Catch(() => throw new CodedException(42, "went wrong", Catch(() => throw new PlainException("cause"))));

        var read = Assert.IsType<CodedException>(RoundTrip(thrown));

        Assert.Equal((42, "went wrong"), (read.Code, read.Message));
        Assert.Contains(nameof(A_serializable_exception_keeps_its_members_message_trace_and_cause), read.StackTrace);
        Assert.Equal("cause", Assert.IsType<PlainException>(read.InnerException).Message);
    }

    [Fact]
    public void An_exception_of_the_framework_keeps_its_type_and_message()
    {
        Exception thrown = new ArgumentOutOfRangeException("count", 3, "Too many.");
        Assert.Equal(thrown.Message, Assert.IsType<ArgumentOutOfRangeException>(RoundTrip(thrown)).Message);
        Assert.Equal("a (b)", Assert.IsType<AggregateException>(RoundTrip<Exception>(new AggregateException("a", new Exception("b")))).Message);
    }

    [Fact]
    public void An_exception_of_an_unknown_type_becomes_a_general_one_with_its_message()
    {
        byte[] bytes = _serializer.SerializeToArray<Exception>(new CodedException(1, "message", null));
        string name = typeof(CodedException).FullName!;
        int at = bytes.AsSpan().IndexOf(System.Text.Encoding.UTF8.GetBytes(name));
        bytes[at + name.Length - 1] = (byte)'X';

        var read = Assert.IsType<UnavailableExceptionFallbackException>(_serializer.Deserialize<Exception>(bytes));

        Assert.Equal("message", read.Message);
        Assert.Contains("CodedExceptioX", read.ExceptionType);
        var again = Assert.IsType<UnavailableExceptionFallbackException>(RoundTrip<Exception>(read));
        Assert.Equal(read.ExceptionType, again.ExceptionType);
    }

    [Fact]
    public void A_type_that_is_not_annotated_is_refused_by_name()
    {
        var refused = Assert.Throws<CodecNotFoundException>(() => _serializer.SerializeToArray(new NotAnnotated()));
        Assert.Contains(typeof(NotAnnotated).FullName!, refused.Message);
        Assert.Contains("[GenerateSerializer]", refused.Message);

        var part = Assert.Throws<CodecNotFoundException>(() => _serializer.SerializeToArray(new HoldsNotAnnotated()));
        Assert.Contains(typeof(NotAnnotated).FullName!, part.Message);
        Assert.Contains(typeof(HoldsNotAnnotated).FullName!, part.Message);
        Assert.False(_serializer.CanSerialize<HoldsNotAnnotated>());
    }

    [Fact]
    public void Two_members_with_one_id_are_refused()
    {
        var refused = Assert.Throws<CodecNotFoundException>(() => _serializer.SerializeToArray(new TwiceTheSameId()));
        Assert.Contains("[Id(3)]", refused.Message);
    }

    [Fact]
    public void A_cycle_is_refused_and_not_followed()
    {
        var node = new Node();
        node.Next = node;
        Assert.Throws<SerializerException>(() => _serializer.SerializeToArray(node));
    }

    [Fact]
    public void A_recursive_type_round_trips()
    {
        var node = new Node { Next = new Node(), Children = [new Node { Children = [new Node()] }] };
        Node read = RoundTrip(node);
        Assert.NotNull(read.Next);
        Assert.Single(Assert.Single(read.Children).Children);
    }

    [Fact]
    public void Every_prefix_of_a_message_is_refused()
    {
        byte[] bytes = _serializer.SerializeToArray(new Everything
        {
            Points = [new(1, 2)],
            Lists = new() { ["a"] = [1] },
            Anything = "x",
            Bytes = new byte[40],
            Error = new CodedException(1, "m", null),
        });

        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.Throws<SerializerException>(() => _serializer.Deserialize<Everything>(bytes.AsMemory(0, length)));
        }
    }

    [Fact]
    public void Damaged_messages_never_fail_otherwise_than_by_saying_so()
    {
        byte[] good = _serializer.SerializeToArray(new Everything
        {
            Points = [new(1, 2)],
            Lists = new() { ["a"] = [1] },
            Set = ["s"],
            Immutable = ["i"],
            Anything = new List<Point> { new(3, 4) },
            Error = new CodedException(1, "m", new PlainException("p")),
            Uri = new Uri("http://example.org"),
        });
        const int seed = 20260101;
        var random = new Random(seed);
        for (int round = 0; round < 3_000; round++)
        {
            byte[] bytes = [.. good];
            for (int flips = random.Next(1, 4); flips > 0; flips--)
            {
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            }

            try
            {
                _serializer.Deserialize<Everything>(bytes);
            }
            catch (SerializerException)
            {
                // What a damaged message should end in, unless the damage happens to make another valid one.
            }
            catch (Exception other)
            {
                Assert.Fail($"Seed {seed}, round {round}: {other}");
            }
        }
    }

    [Fact]
    public void An_announced_length_is_checked_before_anything_is_allocated()
    {
        using var writer = new WireWriter();
        writer.WriteVarUInt64(int.MaxValue);
        writer.WriteBytes(new byte[100]);
        byte[] bytes = writer.WrittenSpan.ToArray();

        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<SerializerException>(() => _serializer.Deserialize<long[]>(bytes));
        Assert.Throws<SerializerException>(() => _serializer.Deserialize<ReadOnlyMemory<byte>>(bytes));
        Assert.Throws<SerializerException>(() => _serializer.Deserialize<string>(bytes));
        Assert.Throws<SerializerException>(() => _serializer.Deserialize<Dictionary<Guid, Guid>>(bytes));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
    }

    [Fact]
    public void A_large_payload_is_a_slice_of_a_frame_that_may_be_kept()
    {
        using var writer = new WireWriter();
        Codec<ReadOnlyMemory<byte>> codec = _codecs.Get<ReadOnlyMemory<byte>>();
        codec.Write(writer, new byte[4096]);
        byte[] frame = writer.WrittenSpan.ToArray();
        var reader = new WireReader();

        reader.Reset(frame, sliceable: true);
        ReadOnlyMemory<byte> slice = codec.Read(reader);
        reader.Reset(frame, sliceable: false);
        ReadOnlyMemory<byte> copy = codec.Read(reader);

        Assert.True(System.Runtime.InteropServices.MemoryMarshal.TryGetArray(slice, out ArraySegment<byte> segment));
        Assert.Same(frame, segment.Array);
        Assert.True(System.Runtime.InteropServices.MemoryMarshal.TryGetArray(copy, out segment));
        Assert.NotSame(frame, segment.Array);
    }

    [Fact]
    public void A_message_that_is_too_long_is_refused()
    {
        using var writer = new WireWriter(maxLength: 10_000);
        Assert.Throws<SerializerException>(() => _codecs.Get<byte[]>().Write(writer, new byte[10_000]));
    }

    [Fact]
    public async Task Codecs_are_built_once_however_many_ask()
    {
        var start = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<Codec>[] asked = [.. Enumerable.Range(0, 16).Select(async _ =>
        {
            await start.Task;
            return _codecs.Get(typeof(Everything));
        })];
        start.SetResult();

        Codec[] found = await Task.WhenAll(asked);

        Assert.Single(found.Distinct());
    }

    private static Exception Catch(Action action)
    {
        try
        {
            action();
        }
        catch (Exception thrown)
        {
            return thrown;
        }

        throw new InvalidOperationException("Nothing was thrown.");
    }
}
