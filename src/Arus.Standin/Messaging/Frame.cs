namespace Orleans.Runtime;

/// <summary>
/// A message on a connection: four bytes with the length of the rest, a kind, the rest. Little-endian. Between silos of one build
/// only, so it has no versions beyond <see cref="Version"/>, which both ends must share.
/// </summary>
internal static class Frame
{
    public const int LengthSize = 4;
    public const uint Magic = 0x53555241;
    public const byte Version = 1;

    /// <summary>Bytes of a frame before the two ends know each other.</summary>
    public const int MaxHelloLength = 4 * 1024 * 1024;

    // Kinds.
    public const byte Hello = 1;
    public const byte Welcome = 2;
    public const byte Request = 3;
    public const byte Response = 4;

    /// <summary>The sender is about to stop: no new requests to it, please.</summary>
    public const byte Goodbye = 5;

    // Of a response.
    public const byte Success = 0;
    public const byte Failure = 1;

    /// <summary>On top of either: the silo that was called passed the request on, since the grain is not there.</summary>
    public const byte MovedFlag = 0x80;

    // Flags of a request; the number of forwards is above them.
    public const byte PlacedFlag = 1;
    public const byte ContextFlag = 2;
    public const byte OneWayFlag = 4;
    public const int ForwardsShift = 4;
    public const int MaxForwards = 15;
}
