namespace Arus.Protocol;

/// <summary>What stands in front of every request (protocol page "Request Header", v1 and v2).</summary>
/// <param name="ApiKey">As it came; it may be no member of the enumeration.</param>
/// <param name="CorrelationId">The response carries it back.</param>
public readonly record struct RequestHeader(ApiKey ApiKey, short ApiVersion, int CorrelationId, string? ClientId)
{
    /// <summary>
    /// Reads the header. Afterwards the reader is at the body if <see cref="ApiCatalog"/> has the API and its version; the rest of any
    /// other request cannot be understood.
    /// </summary>
    /// <exception cref="ProtocolException">The bytes are not a header.</exception>
    public static RequestHeader Read(ref WireReader reader)
    {
        var key = (ApiKey)reader.ReadInt16(nameof(ApiKey));
        short version = reader.ReadInt16(nameof(ApiVersion));
        int correlationId = reader.ReadInt32(nameof(CorrelationId));
        string? clientId = reader.ReadString(LengthFormat.Fixed, true, nameof(ClientId));
        if (ApiCatalog.Find(key) is { } api && api.Supports(version) && api.IsFlexible(version))
            reader.SkipTags("");

        return new RequestHeader(key, version, correlationId, clientId);
    }
}
