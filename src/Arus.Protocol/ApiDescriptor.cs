namespace Arus.Protocol;

/// <summary>Reads one message of a known version from a reader.</summary>
public delegate IApiMessage MessageReader(ref WireReader reader, short version);

/// <summary>What is known of an API without looking into a message. Immutable.</summary>
public sealed class ApiDescriptor
{
    internal ApiDescriptor(
        ApiKey key, short minVersion, short maxVersion, short flexibleSince, MessageReader readRequest, MessageReader readResponse)
    {
        (Key, MinVersion, MaxVersion, FlexibleSince) = (key, minVersion, maxVersion, flexibleSince);
        (ReadRequest, ReadResponse) = (readRequest, readResponse);
    }

    public ApiKey Key { get; }

    /// <summary>The least version that can be read and written; a server may serve fewer.</summary>
    public short MinVersion { get; }

    /// <summary>The greatest version that can be read and written.</summary>
    public short MaxVersion { get; }

    /// <summary>The first version with compact lengths and tagged fields (KIP-482); <see cref="short.MaxValue"/> for none.</summary>
    public short FlexibleSince { get; }

    public MessageReader ReadRequest { get; }

    public MessageReader ReadResponse { get; }

    public bool Supports(short version) => version >= MinVersion && version <= MaxVersion;

    /// <summary>Whether the messages of a version, and the header of its requests, have tagged fields.</summary>
    public bool IsFlexible(short version) => version >= FlexibleSince;

    /// <summary>
    /// Whether the header of responses has tagged fields. That of ApiVersions never has, so that a client can read it before it knows
    /// what the broker speaks (KIP-511).
    /// </summary>
    public bool HasFlexibleResponseHeader(short version) => IsFlexible(version) && Key != ApiKey.ApiVersions;

    public override string ToString() => $"{Key} {MinVersion}-{MaxVersion}";
}
