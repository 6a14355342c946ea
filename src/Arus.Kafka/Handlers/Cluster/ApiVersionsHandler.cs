using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Answers which APIs and versions are served. No features are announced: clients switch behaviour on them.</summary>
internal sealed class ApiVersionsHandler(HandlerRegistry registry)
    : ApiHandler<ApiVersionsRequest>(ApiScope.Metadata)
{
    /// <summary>KIP-511: a client whose version is not served learns which versions of this API are.</summary>
    public override IApiMessage AnswerUnservedVersion() => new ApiVersionsResponse
    {
        ErrorCode = ErrorCode.UnsupportedVersion,
        ApiKeys = Array.FindAll(registry.Versions, version => version.ApiKey == (short)ApiKey.ApiVersions),
    };

    protected override Task<IApiMessage?> HandleAsync(ApiVersionsRequest request, KafkaRequestContext context)
    {
        bool valid = context.Version < 3 || (IsSoftwareName(request.ClientSoftwareName) && IsSoftwareName(request.ClientSoftwareVersion));
        return Task.FromResult<IApiMessage?>(valid
            ? new ApiVersionsResponse { ApiKeys = registry.Versions }
            : new ApiVersionsResponse { ErrorCode = ErrorCode.InvalidRequest });
    }

    /// <summary>KIP-511: letters and digits, with dots and hyphens between them.</summary>
    private static bool IsSoftwareName(string text) =>
        text.Length > 0 && char.IsAsciiLetterOrDigit(text[0]) && char.IsAsciiLetterOrDigit(text[^1])
        && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-');
}
