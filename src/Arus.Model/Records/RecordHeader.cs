namespace Arus;

/// <summary>A header of a record to be written (KIP-82).</summary>
/// <param name="Key">Its name; it may be empty, and may occur more than once.</param>
/// <param name="Value">Null and empty are different values.</param>
public readonly record struct RecordHeader(string Key, ReadOnlyMemory<byte>? Value)
{
    /// <summary>From an array, null for a null value: the implicit conversion would turn a null array into an empty memory.</summary>
    public RecordHeader(string key, byte[]? value) : this(key, value is null ? (ReadOnlyMemory<byte>?)null : value)
    {
    }
}
