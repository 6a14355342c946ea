namespace Orleans.Serialization;

/// <summary>How values of a type are written, read and copied. Stateless: one instance serves all threads.</summary>
internal abstract class Codec<T>
{
    /// <summary>Copying such a value answers the same value: calls inside a silo skip it.</summary>
    public abstract bool IsImmutable { get; }

    public abstract void Write(MessageWriter writer, T value);

    public abstract T Read(MessageReader reader);

    public abstract T Copy(T value);
}
