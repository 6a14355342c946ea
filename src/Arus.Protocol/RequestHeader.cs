namespace Arus.Protocol;

/// <summary>Whether a request can be read.</summary>
public enum RequestSupport
{
    Supported,

    /// <summary>The API is none of <see cref="ApiCatalog"/>: nothing after the client id can be understood.</summary>
    UnknownApi,

    /// <summary>The API is known, the version is not: nothing after the client id can be understood.</summary>
    UnsupportedVersion,
}

/// <summary>What stands in front of every request (protocol page "Request Header", v1 and v2).</summary>
/// <param name="ApiKey">As it came; it may be no member of the enumeration.</param>
/// <param name="CorrelationId">The response carries it back.</param>
public readonly record struct RequestHeader(ApiKey ApiKey, short ApiVersion, int CorrelationId, string? ClientId)
{
    /// <summary>Reads the header and leaves the reader at the body, if the request is supported.</summary>
    /// <exception cref="ProtocolException">The bytes are no header.</exception>
    public static RequestHeader Read(ref WireReader reader, out RequestSupport support)
    {
        var key = (ApiKey)reader.ReadInt16(nameof(ApiKey));
        short version = reader.ReadInt16(nameof(ApiVersion));
        int correlationId = reader.ReadInt32(nameof(CorrelationId));
        string? clientId = reader.ReadStringOrNull(false, true, nameof(ClientId));
        ApiDescriptor? api = ApiCatalog.Find(key);
        support = api is null ? RequestSupport.UnknownApi
            : api.Supports(version) ? RequestSupport.Supported
            : RequestSupport.UnsupportedVersion;
        if (support == RequestSupport.Supported && api!.IsFlexible(version))
        {
            reader.SkipTags("");
        }

        return new RequestHeader(key, version, correlationId, clientId);
    }
}
