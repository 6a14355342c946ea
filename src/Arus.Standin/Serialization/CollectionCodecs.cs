using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Orleans.Serialization;

/// <summary>The number of elements plus one, then the elements; zero stands for null.</summary>
internal abstract class CollectionCodec<T, TElement> : Codec<T?>, IBuiltCodec where T : class
{
    protected Codec<TElement> Element { get; private set; } = null!;

    public virtual void Build(CodecProvider provider) => Element = provider.Get<TElement>();

    public sealed override void Write(WireWriter writer, T? value)
    {
        if (value is null)
        {
            writer.WriteByte(WireFormat.Null);
        }
        else if (value.GetType() != typeof(T))
        {
            throw new CodecNotFoundException($"{value.GetType()} cannot be sent where {typeof(T)} is declared.");
        }
        else
        {
            writer.Enter(typeof(T));
            writer.WriteVarUInt64((ulong)Count(value) + 1);
            WriteElements(writer, value);
            writer.Leave();
        }
    }

    public sealed override T? Read(WireReader reader)
    {
        int count = CountMarker.Read(reader, MinElementSize);
        if (count < 0)
        {
            return null;
        }

        reader.Enter(typeof(T));
        T value = ReadElements(reader, count);
        reader.Leave();
        return value;
    }

    public sealed override T? Copy(T? value)
    {
        if (value is null)
        {
            return null;
        }

        RuntimeHelpers.EnsureSufficientExecutionStack();
        return CopyElements(value);
    }

    protected virtual int MinElementSize => Element.MinSize;

    protected abstract int Count(T value);

    protected abstract void WriteElements(WireWriter writer, T value);

    protected abstract T ReadElements(WireReader reader, int count);

    protected abstract T CopyElements(T value);
}

internal static class CountMarker
{
    /// <summary>The number of elements; -1 for null.</summary>
    public static int Read(WireReader reader, int minElementSize)
    {
        ulong marker = reader.ReadVarUInt64();
        if (marker == 0)
        {
            return -1;
        }

        ulong count = marker - 1;
        return count <= (ulong)(reader.Remaining / minElementSize)
            ? (int)count
            : throw reader.Corrupt($"{count} elements are announced and {reader.Remaining} bytes are left");
    }
}

/// <summary>One codec's run over adjacent elements.</summary>
internal static class Elements
{
    public static void Write<T>(Codec<T> codec, WireWriter writer, ReadOnlySpan<T> elements)
    {
        foreach (T element in elements)
        {
            codec.Write(writer, element);
        }
    }

    public static void Read<T>(Codec<T> codec, WireReader reader, Span<T> elements)
    {
        foreach (ref T element in elements)
        {
            element = codec.Read(reader);
        }
    }

    public static void Copy<T>(Codec<T> codec, ReadOnlySpan<T> from, Span<T> to)
    {
        if (codec.IsShared)
        {
            from.CopyTo(to);
            return;
        }

        for (int i = 0; i < from.Length; i++)
        {
            to[i] = codec.Copy(from[i]);
        }
    }

    public static T[] Copy<T>(Codec<T> codec, ReadOnlySpan<T> from)
    {
        var copy = new T[from.Length];
        Copy(codec, from, copy);
        return copy;
    }

    public static T[] ReadArray<T>(Codec<T> codec, WireReader reader, int count)
    {
        if (count == 0)
        {
            return [];
        }

        var array = new T[count];
        Read(codec, reader, array);
        return array;
    }
}

internal sealed class ArrayCodec<T> : CollectionCodec<T[], T>
{
    protected override int Count(T[] value) => value.Length;

    protected override void WriteElements(WireWriter writer, T[] value) => Elements.Write(Element, writer, value);

    protected override T[] ReadElements(WireReader reader, int count) => Elements.ReadArray(Element, reader, count);

    protected override T[] CopyElements(T[] value) => value.Length == 0 ? value : Elements.Copy<T>(Element, value);
}

internal sealed class ListCodec<T> : CollectionCodec<List<T>, T>
{
    protected override int Count(List<T> value) => value.Count;

    protected override void WriteElements(WireWriter writer, List<T> value) =>
        Elements.Write(Element, writer, CollectionsMarshal.AsSpan(value));

    protected override List<T> ReadElements(WireReader reader, int count)
    {
        var list = new List<T>(count);
        CollectionsMarshal.SetCount(list, count);
        Elements.Read(Element, reader, CollectionsMarshal.AsSpan(list));
        return list;
    }

    protected override List<T> CopyElements(List<T> value)
    {
        var list = new List<T>(value.Count);
        CollectionsMarshal.SetCount(list, value.Count);
        Elements.Copy(Element, CollectionsMarshal.AsSpan(value), CollectionsMarshal.AsSpan(list));
        return list;
    }
}

internal sealed class QueueCodec<T> : CollectionCodec<Queue<T>, T>
{
    protected override int Count(Queue<T> value) => value.Count;

    protected override void WriteElements(WireWriter writer, Queue<T> value) => Elements.Write(Element, writer, value.ToArray());

    protected override Queue<T> ReadElements(WireReader reader, int count) => new(Elements.ReadArray(Element, reader, count));

    protected override Queue<T> CopyElements(Queue<T> value) => new(value.Select(Element.Copy));
}

internal sealed class HashSetCodec<T> : CollectionCodec<HashSet<T>, T>
{
    protected override int Count(HashSet<T> value) => value.Count;

    protected override void WriteElements(WireWriter writer, HashSet<T> value)
    {
        Comparers.Write(writer, value.Comparer);
        foreach (T element in value)
        {
            Element.Write(writer, element);
        }
    }

    protected override HashSet<T> ReadElements(WireReader reader, int count)
    {
        var set = new HashSet<T>(Comparers.Read<T>(reader));
        for (int i = 0; i < count; i++)
        {
            set.Add(Element.Read(reader));
        }

        return set;
    }

    protected override HashSet<T> CopyElements(HashSet<T> value) =>
        Element.IsShared ? new(value, value.Comparer) : new(value.Select(Element.Copy), value.Comparer);
}

internal sealed class DictionaryCodec<TKey, TValue> : CollectionCodec<Dictionary<TKey, TValue>, TKey> where TKey : notnull
{
    private Codec<TValue> _value = null!;

    protected override int MinElementSize => Element.MinSize + _value.MinSize;

    public override void Build(CodecProvider provider)
    {
        base.Build(provider);
        _value = provider.Get<TValue>();
    }

    protected override int Count(Dictionary<TKey, TValue> value) => value.Count;

    protected override void WriteElements(WireWriter writer, Dictionary<TKey, TValue> value)
    {
        Comparers.Write(writer, value.Comparer);
        foreach ((TKey key, TValue element) in value)
        {
            Element.Write(writer, key);
            _value.Write(writer, element);
        }
    }

    protected override Dictionary<TKey, TValue> ReadElements(WireReader reader, int count)
    {
        var dictionary = new Dictionary<TKey, TValue>(Comparers.Read<TKey>(reader));
        for (int i = 0; i < count; i++)
        {
            TKey key = Element.Read(reader) ?? throw reader.Corrupt("a dictionary has a null key");
            if (!dictionary.TryAdd(key, _value.Read(reader)))
            {
                throw reader.Corrupt("a dictionary has the same key twice");
            }
        }

        return dictionary;
    }

    protected override Dictionary<TKey, TValue> CopyElements(Dictionary<TKey, TValue> value)
    {
        var copy = new Dictionary<TKey, TValue>(value.Count, value.Comparer);
        foreach ((TKey key, TValue element) in value)
        {
            copy.Add(Element.Copy(key), _value.Copy(element));
        }

        return copy;
    }
}

internal sealed class ImmutableArrayCodec<T> : Codec<ImmutableArray<T>>, IBuiltCodec
{
    private Codec<T> _element = null!;
    private bool _shared;

    public override bool IsShared => _shared;

    public void Build(CodecProvider provider)
    {
        _element = provider.Get<T>();
        _shared = _element.IsShared;
    }

    public override void Write(WireWriter writer, ImmutableArray<T> value)
    {
        writer.WriteVarUInt64(value.IsDefault ? 0 : (ulong)value.Length + 1);
        if (!value.IsDefault)
        {
            Elements.Write(_element, writer, value.AsSpan());
        }
    }

    public override ImmutableArray<T> Read(WireReader reader)
    {
        int count = CountMarker.Read(reader, _element.MinSize);
        return count < 0 ? default : ImmutableCollectionsMarshal.AsImmutableArray(Elements.ReadArray(_element, reader, count));
    }

    public override ImmutableArray<T> Copy(ImmutableArray<T> value) => value.IsDefault
        ? value
        : ImmutableCollectionsMarshal.AsImmutableArray(Elements.Copy(_element, value.AsSpan()));
}

/// <summary>The comparers that a collection keeps when it is sent: the default one, and case-insensitive text.</summary>
internal static class Comparers
{
    public static void Write<T>(WireWriter writer, IEqualityComparer<T> comparer) =>
        writer.WriteBool(ReferenceEquals(comparer, StringComparer.OrdinalIgnoreCase));

    public static IEqualityComparer<T>? Read<T>(WireReader reader)
    {
        if (!reader.ReadBool())
        {
            return null;
        }

        return typeof(T) == typeof(string)
            ? (IEqualityComparer<T>)StringComparer.OrdinalIgnoreCase
            : throw reader.Corrupt($"a comparer of text is announced for {typeof(T)}");
    }
}
