using System.Diagnostics;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>One request: its header and bytes, and the connection it came from.</summary>
/// <param name="Frame">The whole request. Unless it is pooled, parts of it may be kept.</param>
/// <param name="HeaderLength">In bytes; the body follows.</param>
/// <param name="ReceivedAt">When the request's last byte was read, on the clock of <see cref="TimeProvider.GetTimestamp"/>.</param>
internal sealed record KafkaRequestContext(
    ApiHandler Handler, RequestHeader Header, RequestFrame Frame, int HeaderLength, long ReceivedAt, KafkaConnection Connection)
{
    /// <summary>The request's span, which ends when its response is written; null when it is not sampled.</summary>
    public Activity? Activity { get; } = RequestTracing.Start(Header);

    /// <summary>What the response holds of <see cref="ResponseMemory"/>, until it is written.</summary>
    public long ResponseBytes { get; private set; }

    public short Version => Header.ApiVersion;

    public string ClientId => Header.ClientId ?? "";

    public KafkaListener Listener => Connection.Listener;

    /// <summary>Tripped when the connection is closed or the server stops: nothing is waited for any more.</summary>
    public CancellationToken Closed => Connection.Closed;

    /// <inheritdoc cref="KafkaConnection.Gone"/>
    public CancellationToken Gone => Connection.Gone;

    /// <inheritdoc cref="ResponseMemory.Take"/>
    public long TakeMemory(long wanted)
    {
        long granted = Connection.Responses.Take(wanted);
        ResponseBytes += granted;
        return granted;
    }

    /// <inheritdoc cref="ResponseMemory.Release"/>
    public void ReleaseMemory(long bytes)
    {
        Connection.Responses.Release(bytes);
        ResponseBytes -= bytes;
    }

    public T Read<T>()
        where T : IApiMessage<T>
    {
        var reader = new WireReader(Frame.Memory[HeaderLength..], Handler.MaxElements);
        return T.Read(ref reader, Version);
    }

    /// <summary>The error code that the client gets for a failed grain call, which is logged.</summary>
    public ErrorCode MapAndLog(Exception exception, object subject) =>
        Connection.Failures.MapAndLog(exception, Handler.Scope, Header.ApiKey.ToString(), subject);

    /// <summary>Handles one part of the request, whose failure is its own and not that of the others.</summary>
    public async Task<TResult> TryAsync<TResult>(object subject, Func<Task<TResult>> handle, Func<ErrorCode, string, TResult> fail)
    {
        try
        {
            return await handle();
        }
        catch (Exception exception) when (exception is not OperationCanceledException || !Gone.IsCancellationRequested)
        {
            return fail(MapAndLog(exception, subject), exception.Message);
        }
    }

    /// <inheritdoc cref="TryAsync{TResult}"/>
    /// <returns>What went wrong, if anything did.</returns>
    public Task<(ErrorCode Error, string? Message)> TryAsync(object subject, Func<Task> handle) => TryAsync<(ErrorCode, string?)>(
        subject,
        async () =>
        {
            await handle();
            return (ErrorCode.None, null);
        },
        static (error, message) => (error, message));
}

/// <summary>A request in the order of its connection, until its response is written.</summary>
/// <param name="ResponseVersion">Of the response; the request's unless that is not served.</param>
internal sealed record PendingResponse(KafkaRequestContext Context, Task<IApiMessage?> Response, short ResponseVersion);
