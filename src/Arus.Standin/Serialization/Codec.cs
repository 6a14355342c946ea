namespace Orleans.Serialization;

/// <summary>Writes, reads and copies values whose type is known only when it runs.</summary>
internal abstract class Codec
{
    /// <summary>The type that it is for.</summary>
    public abstract Type Type { get; }

    /// <summary>A copy is the value itself: nobody can change it, or its type promises that nobody will.</summary>
    public virtual bool IsShared => false;

    /// <summary>The fewest bytes that a value takes, by which announced counts are checked; 1 or more.</summary>
    public virtual int MinSize => 1;

    public abstract void WriteObject(WireWriter writer, object? value);

    public abstract object? ReadObject(WireReader reader);

    public abstract object? CopyObject(object? value);
}

/// <summary>Writes, reads and copies values of <typeparamref name="T"/>, null and derived types included. Thread-safe.</summary>
internal abstract class Codec<T> : Codec
{
    public sealed override Type Type => typeof(T);

    public abstract void Write(WireWriter writer, T value);

    public abstract T Read(WireReader reader);

    /// <summary>A copy that shares nothing with <paramref name="value"/> that either side could change.</summary>
    public abstract T Copy(T value);

    public sealed override void WriteObject(WireWriter writer, object? value) => Write(writer, (T)value!);

    public sealed override object? ReadObject(WireReader reader) => Read(reader);

    public sealed override object? CopyObject(object? value) => IsShared ? value : Copy((T)value!);
}
