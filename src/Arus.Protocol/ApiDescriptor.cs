namespace Arus.Protocol;

/// <summary>Reads one message of a known version from a reader.</summary>
public delegate IApiMessage MessageReader(ref WireReader reader, short version);

/// <summary>What is known of an API without looking into a message. Immutable.</summary>
/// <param name="MinVersion">The least version that can be read and written; a server may serve fewer.</param>
/// <param name="MaxVersion">The greatest version that can be read and written.</param>
/// <param name="FlexibleSince">The first version with compact lengths and tagged fields (KIP-482); <see cref="short.MaxValue"/> for none.
/// </param>
public sealed record ApiDescriptor(
    ApiKey Key, short MinVersion, short MaxVersion, short FlexibleSince, MessageReader ReadRequest, MessageReader ReadResponse)
{
    public bool Supports(short version) => version >= MinVersion && version <= MaxVersion;

    /// <summary>Whether the messages of a version, and the header of its requests, have tagged fields.</summary>
    public bool IsFlexible(short version) => version >= FlexibleSince;

    /// <summary>Whether the header of responses has tagged fields: never for ApiVersions, which clients read first (KIP-511).</summary>
    public bool HasFlexibleResponseHeader(short version) => IsFlexible(version) && Key != ApiKey.ApiVersions;

    public override string ToString() => $"{Key} {MinVersion}-{MaxVersion}";
}
