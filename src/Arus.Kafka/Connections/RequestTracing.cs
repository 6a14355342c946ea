using System.Diagnostics;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>A span for each request that is sampled, under the activity source <see cref="SourceName"/>.</summary>
internal static class RequestTracing
{
    public const string SourceName = "Arus.Kafka";

    private static readonly ActivitySource Source = new(SourceName);

    /// <summary>
    /// Begins the span of a request, which is the parent of the grain calls that its handler makes. Null when it is not sampled.
    /// </summary>
    public static Activity? Start(RequestHeader header)
    {
        if (!Source.HasListeners())
            return null;

        Activity? activity = Source.StartActivity(header.ApiKey.ToString(), ActivityKind.Server);
        activity?.SetTag("messaging.system", "kafka");
        activity?.SetTag("messaging.client.id", header.ClientId);
        activity?.SetTag("kafka.api.version", header.ApiVersion);
        return activity;
    }
}
