namespace Arus.Protocol;

/// <summary>What stands in front of every request (protocol page "Request Header", v1 and v2).</summary>
/// <param name="ApiKey">As it came; it may be no member of the enumeration.</param>
/// <param name="CorrelationId">The response carries it back.</param>
public readonly record struct RequestHeader(ApiKey ApiKey, short ApiVersion, int CorrelationId, string? ClientId)
{
    /// <summary>
    /// Reads the header. The reader is then at the body, if the API and its version are of <see cref="ApiCatalog"/>; of other requests
    /// nothing that follows can be understood.
    /// </summary>
    /// <exception cref="ProtocolException">The bytes are no header.</exception>
    public static RequestHeader Read(ref WireReader reader)
    {
        var key = (ApiKey)reader.ReadInt16(nameof(ApiKey));
        short version = reader.ReadInt16(nameof(ApiVersion));
        int correlationId = reader.ReadInt32(nameof(CorrelationId));
        string? clientId = reader.ReadStringOrNull(LengthFormat.Fixed, true, nameof(ClientId));
        if (ApiCatalog.Find(key) is { } api && api.Supports(version) && api.IsFlexible(version))
        {
            reader.SkipTags("");
        }

        return new RequestHeader(key, version, correlationId, clientId);
    }
}
