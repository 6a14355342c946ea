using System.Collections.Immutable;
using Orleans;
using Orleans.Concurrency;

namespace Arus.Standin.Tests.Serialization;

[GenerateSerializer]
public sealed record Positional(int Number, string? Text, ReadOnlyMemory<byte> Payload)
{
    [Id(0)]
    public long Extra { get; init; }

    public int NotSent { get; set; } = 7;
}

[GenerateSerializer, Immutable]
public sealed record Frozen(int[] Numbers);

[GenerateSerializer]
public readonly record struct Point(int X, int Y);

[GenerateSerializer]
public readonly record struct Tagged(Point Point, string[]? Tags = null);

[GenerateSerializer]
public struct Empty;

public enum Small : byte
{
    One = 1,
    Last = 255,
}

public enum Short : short
{
    Negative = -1,
}

public enum Large : ulong
{
    Top = ulong.MaxValue,
}

[GenerateSerializer]
public class Animal
{
    [Id(0)]
    public string Name { get; set; } = "";
}

[GenerateSerializer]
public sealed class Dog : Animal
{
    [Id(0)]
    private int _age;

    [Id(1)]
    public Animal? Friend { get; private set; }

    public int Age => _age;

    public static Dog Create(string name, int age, Animal? friend) => new() { Name = name, _age = age, Friend = friend };
}

[GenerateSerializer]
public sealed class ReadOnlyMembers(string text, int number)
{
    [Id(0)]
    public readonly string Text = text;

    [Id(1)]
    public int Number { get; } = number;
}

[GenerateSerializer]
public sealed class Everything
{
    [Id(0)] public bool Bool { get; set; }
    [Id(1)] public sbyte SByte { get; set; }
    [Id(2)] public ushort UShort { get; set; }
    [Id(3)] public char Char { get; set; }
    [Id(4)] public ulong ULong { get; set; }
    [Id(5)] public decimal Decimal { get; set; }
    [Id(6)] public double Double { get; set; }
    [Id(7)] public Guid Guid { get; set; }
    [Id(8)] public DateTime DateTime { get; set; }
    [Id(9)] public DateTimeOffset DateTimeOffset { get; set; }
    [Id(10)] public TimeSpan? TimeSpan { get; set; }
    [Id(11)] public Small? Small { get; set; }
    [Id(12)] public Short Short { get; set; }
    [Id(13)] public Large Large { get; set; }
    [Id(14)] public List<Point>? Points { get; set; }
    [Id(15)] public Dictionary<string, List<int>>? Lists { get; set; }
    [Id(16)] public HashSet<string>? Set { get; set; }
    [Id(17)] public int[][]? Jagged { get; set; }
    [Id(18)] public ImmutableArray<string> Immutable { get; set; }
    [Id(19)] public (int A, string? B) Pair { get; set; }
    [Id(20)] public Tuple<int, string>? Tuple { get; set; }
    [Id(21)] public object? Anything { get; set; }
    [Id(22)] public IReadOnlyList<int>? Interface { get; set; }
    [Id(23)] public Empty[]? Empties { get; set; }
    [Id(24)] public Uri? Uri { get; set; }
    [Id(25)] public byte[]? Bytes { get; set; }
    [Id(26)] public KeyValuePair<string, int> Entry { get; set; }
    [Id(27)] public Exception? Error { get; set; }
    [Id(28)] public Immutable<int[]> Promised { get; set; }
    [Id(29)] public DateOnly Date { get; set; }
}

[GenerateSerializer]
public sealed class Node
{
    [Id(0)]
    public Node? Next { get; set; }

    [Id(1)]
    public List<Node> Children { get; set; } = [];
}

[GenerateSerializer]
public sealed class SharesMember
{
    [Id(0), Immutable]
    public int[] Shared { get; set; } = [];

    [Id(1)]
    public int[] Copied { get; set; } = [];
}

public sealed record Foreign(string Topic, int Partition);

[GenerateSerializer]
public struct ForeignSurrogate
{
    [Id(0)]
    public string Topic;

    [Id(1)]
    public int Partition;
}

[RegisterConverter]
public sealed class ForeignConverter : IConverter<Foreign, ForeignSurrogate>
{
    public Foreign ConvertFromSurrogate(in ForeignSurrogate surrogate) => new(surrogate.Topic, surrogate.Partition);

    public ForeignSurrogate ConvertToSurrogate(in Foreign value) => new() { Topic = value.Topic, Partition = value.Partition };
}

[GenerateSerializer]
public sealed class CodedException : Exception
{
    public CodedException(int code, string message, Exception? inner) : base(message, inner) => Code = code;

    [Id(0)]
    public int Code { get; private set; }
}

public sealed class PlainException(string message) : Exception(message);

public sealed class NotAnnotated
{
    public int Number { get; set; }
}

[GenerateSerializer]
public sealed class HoldsNotAnnotated
{
    [Id(0)]
    public NotAnnotated? Part { get; set; }
}

[GenerateSerializer]
public sealed class TwiceTheSameId
{
    [Id(3)]
    public int First { get; set; }

    [Id(3)]
    public int Second { get; set; }
}
