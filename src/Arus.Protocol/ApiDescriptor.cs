namespace Arus.Protocol;

/// <summary>Reads one message of a known version from a reader.</summary>
public delegate IApiMessage MessageReader(ref WireReader reader, short version);

/// <summary>What is known of an API without looking into a message. Immutable.</summary>
public sealed class ApiDescriptor
{
    internal ApiDescriptor(
        ApiKey key, short minVersion, short maxVersion, short flexibleSince, MessageReader readRequest, MessageReader readResponse)
    {
        Key = key;
        MinVersion = minVersion;
        MaxVersion = maxVersion;
        FlexibleSince = flexibleSince;
        ReadRequest = readRequest;
        ReadResponse = readResponse;
    }

    public ApiKey Key { get; }

    /// <summary>The least version that can be read and written; a server may serve fewer.</summary>
    public short MinVersion { get; }

    /// <summary>The greatest version that can be read and written.</summary>
    public short MaxVersion { get; }

    /// <summary>The first version with compact lengths and tagged fields (KIP-482); <see cref="short.MaxValue"/> if none has them.</summary>
    public short FlexibleSince { get; }

    public MessageReader ReadRequest { get; }

    public MessageReader ReadResponse { get; }

    public bool Supports(short version) => version >= MinVersion && version <= MaxVersion;

    public bool IsFlexible(short version) => version >= FlexibleSince;

    /// <summary>1, or 2 with tagged fields.</summary>
    public short RequestHeaderVersion(short version) => IsFlexible(version) ? (short)2 : (short)1;

    /// <summary>
    /// 0, or 1 with tagged fields. That of ApiVersions stays 0, so that a client can read it before it knows what the broker
    /// speaks (KIP-511).
    /// </summary>
    public short ResponseHeaderVersion(short version) => IsFlexible(version) && Key != ApiKey.ApiVersions ? (short)1 : (short)0;

    public override string ToString() => $"{Key} {MinVersion}-{MaxVersion}";
}
