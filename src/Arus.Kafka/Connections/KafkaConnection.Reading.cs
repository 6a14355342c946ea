using Arus.Protocol;

namespace Arus.Kafka;

internal sealed partial class KafkaConnection
{
    private async Task ReadRequestsAsync()
    {
        while (!_stopping && await _frames.ReadAsync() is { } frame)
        {
            bool queued = false;
            try
            {
                KafkaRequestContext context = Open(frame);
                bool isPipelined = context.Handler.IsPipelined;
                await WaitForRoomAsync(isPipelined ? _services.Options.MaxInFlightRequests : 1, frame.Length);
                if (_stopping)
                    return;

                // From here on it is not the client that is slow: the start may wait for room in a queue.
                Interlocked.Increment(ref _inFlight);
                Interlocked.Add(ref _bytesInFlight, frame.Length);
                queued = _pending.Writer.TryWrite(await StartAsync(context));
                if (!isPipelined)
                    await WaitForRoomAsync(1, 0);
            }
            finally
            {
                if (!queued)
                    frame.Release();
            }
        }
    }

    private KafkaRequestContext Open(RequestFrame frame)
    {
        long now = _services.Time.GetTimestamp();
        Volatile.Write(ref _lastActivity, now);
        var reader = new WireReader(frame.Memory);
        RequestHeader header = RequestHeader.Read(ref reader);
        ApiHandler handler = _services.Handlers.Find(header.ApiKey)
            ?? throw new ProtocolException($"API {(short)header.ApiKey} is not served");
        return new KafkaRequestContext(handler, header, frame, frame.Length - reader.Remaining, now, this);
    }

    /// <summary>Waits until fewer requests than <paramref name="limit"/> are in flight, and not too many bytes with this one.</summary>
    private async ValueTask WaitForRoomAsync(int limit, int length)
    {
        while (!_stopping
            && (Volatile.Read(ref _inFlight) >= limit
                || (Volatile.Read(ref _inFlight) > 0 && Volatile.Read(ref _bytesInFlight) + length > _services.Options.MaxInFlightBytes)))
        {
            await _responseWritten.WaitAsync();
        }
    }

    private async ValueTask<PendingResponse> StartAsync(KafkaRequestContext context)
    {
        (RequestHeader header, ApiHandler handler) = (context.Header, context.Handler);
        _services.Metrics.RequestRead(header.ApiKey, context.Frame.Length);
        if (handler.Serves(header.ApiVersion))
            return new PendingResponse(context, await handler.StartAsync(context), header.ApiVersion);

        return handler.AnswerUnservedVersion() is { } answer
            ? new PendingResponse(context, Task.FromResult<IApiMessage?>(answer), 0)
            : throw new ProtocolException(
                $"{header.ApiKey} v{header.ApiVersion} is not served; versions {handler.MinVersion} to {handler.Api.MaxVersion} are");
    }
}
