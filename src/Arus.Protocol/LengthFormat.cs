namespace Arus.Protocol;

/// <summary>How a message writes the length of a string, of bytes or of an array.</summary>
public enum LengthFormat
{
    /// <summary>An int16 for strings, an int32 otherwise; -1 stands for null.</summary>
    Fixed,

    /// <summary>An unsigned varint of the length plus one; 0 stands for null (KIP-482).</summary>
    Compact,

    /// <summary>
    /// A zigzag varint: of the length plus one for strings and bytes, with 0 for null, and of the bare number of elements for arrays.
    /// </summary>
    Varint,
}
