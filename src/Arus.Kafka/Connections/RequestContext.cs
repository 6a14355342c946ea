using System.Net;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>One request and where it came from.</summary>
/// <param name="Frame">The whole request. Unless it is pooled, parts of it may be kept.</param>
internal sealed record RequestContext(
    ApiHandler Handler, RequestHeader Header, RequestFrame Frame, KafkaListener Listener, IPAddress RemoteAddress, FetchWaiters Waiters,
    CancellationToken Closed)
{
    public short Version => Header.ApiVersion;

    /// <summary>When the request's last byte was read, on the clock of <see cref="TimeProvider.GetTimestamp"/>.</summary>
    public long ReceivedAt { get; init; }

    public string ClientId => Header.ClientId ?? "";

    public T Read<T>()
        where T : IApiMessage<T>
    {
        var reader = new WireReader(Frame.Memory);
        RequestHeader.Read(ref reader);
        return T.Read(ref reader, Version);
    }
}

/// <summary>A request in the order of its connection, until its response is written.</summary>
/// <param name="ResponseVersion">Of the response; the request's unless that is not served.</param>
internal sealed record PendingResponse(RequestContext Context, Task<IApiMessage?> Response, short ResponseVersion);
