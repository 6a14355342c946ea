namespace Orleans.Serialization;

/// <summary>Limits of the format in which values travel between processes of one cluster, and its markers.</summary>
internal static class WireFormat
{
    /// <summary>Bytes of one message, unless the messaging options say less.</summary>
    public const int MaxLength = 256 * 1024 * 1024;

    /// <summary>Levels of objects within objects.</summary>
    public const int MaxDepth = 128;

    /// <summary>Payloads from this length on are slices of the received frame rather than copies, where the frame allows it.</summary>
    public const int MinSliceLength = 512;

    /// <summary>Before a value that may be absent or of a derived type.</summary>
    public const byte Null = 0;

    /// <summary>The value has exactly the type that the reader expects.</summary>
    public const byte ExpectedType = 1;

    /// <summary>The name of the value's type follows.</summary>
    public const byte NamedType = 2;
}
