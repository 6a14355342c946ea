using System;
using System.Globalization;

namespace Arus.Protocol.Generator;

/// <summary>An inclusive range of message versions; an open end is <see cref="short.MaxValue"/>.</summary>
internal readonly record struct VersionRange(int Min, int Max)
{
    public bool IsEmpty => Min > Max;

    public static VersionRange Parse(string text)
    {
        bool isOpen = text.EndsWith("+", StringComparison.Ordinal);
        string[] ends = (isOpen ? text.Substring(0, text.Length - 1) : text).Split(['-'], 2);
        return new VersionRange(Number(ends[0]), isOpen ? short.MaxValue : Number(ends[ends.Length - 1]));
    }

    public VersionRange Intersect(VersionRange other) => new(Math.Max(Min, other.Min), Math.Min(Max, other.Max));

    public bool Contains(int version) => version >= Min && version <= Max;

    public bool Covers(VersionRange other) => Min <= other.Min && Max >= other.Max;

    /// <summary>The C# test that a version known to be within <paramref name="known"/> is in this range; null if it always is.</summary>
    public string? Condition(VersionRange known)
    {
        bool lower = Min > known.Min, upper = Max < known.Max;
        if (lower && upper)
            return Min == Max ? $"version == {Min}" : $"version is >= {Min} and <= {Max}";

        return lower ? $"version >= {Min}" : upper ? $"version <= {Max}" : null;
    }

    public override string ToString() =>
        Max == short.MaxValue ? $"{Min} and up" : Min == Max ? $"{Min}" : $"{Min} to {Max}";

    private static int Number(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value)
            ? value
            : throw new DefinitionException($"'{text}' is not a version");
}
