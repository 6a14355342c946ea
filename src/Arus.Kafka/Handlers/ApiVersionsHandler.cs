using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Says which APIs and versions are served. No features are announced: clients switch behaviour on them.</summary>
internal sealed class ApiVersionsHandler : ApiHandler<ApiVersionsRequest>
{
    public override RequestOrdering Ordering => RequestOrdering.Concurrent;

    /// <summary>Set by the registry, which knows all handlers.</summary>
    internal ApiVersionsResponse.ApiVersion[] Versions { get; set; } = [];

    protected override Task<IApiMessage?> HandleAsync(ApiVersionsRequest request, RequestContext context)
    {
        bool valid = context.Version < 3 || (IsSoftwareName(request.ClientSoftwareName) && IsSoftwareName(request.ClientSoftwareVersion));
        return Task.FromResult<IApiMessage?>(valid
            ? new ApiVersionsResponse { ApiKeys = Versions }
            : new ApiVersionsResponse { ErrorCode = ErrorCode.InvalidRequest });
    }

    /// <summary>KIP-511: letters and digits, with dots and hyphens between them.</summary>
    private static bool IsSoftwareName(string text) =>
        text.Length > 0 && char.IsAsciiLetterOrDigit(text[0]) && char.IsAsciiLetterOrDigit(text[^1])
        && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-');
}
