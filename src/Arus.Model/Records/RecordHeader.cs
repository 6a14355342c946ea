namespace Arus;

/// <summary>A header to write with a record (KIP-82).</summary>
/// <param name="Key">Its name; may be empty, may occur more than once.</param>
/// <param name="Value">Null is kept apart from empty.</param>
public readonly record struct RecordHeader(string Key, ReadOnlyMemory<byte>? Value)
{
    /// <summary>Of an array, where a null array means null: the language by itself would make it an empty memory.</summary>
    public RecordHeader(string key, byte[]? value) : this(key, value is null ? (ReadOnlyMemory<byte>?)null : value)
    {
    }
}
