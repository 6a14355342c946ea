using Arus.Protocol;

namespace Arus.Kafka;

internal sealed partial class KafkaConnection
{
    /// <summary>Produce requests under way: an exclusive request waits for them.</summary>
    private readonly List<Task> _changing = [];

    private async Task ReadRequestsAsync()
    {
        while (!_stopping)
        {
            RequestFrame? frame = await _frames.ReadAsync();
            if (frame is null)
                return;

            long now = _services.Time.GetTimestamp();
            Volatile.Write(ref _lastActivity, now);
            bool queued = false;
            try
            {
                await WaitForCapacityAsync(frame.Length);
                if (!_stopping)
                {
                    // From here on it is not the client that is slow: the start may wait for room in a queue.
                    Interlocked.Increment(ref _inFlight);
                    Interlocked.Add(ref _bytesInFlight, frame.Length);
                    PendingResponse pending = await StartAsync(frame, now);
                    queued = _pending.Writer.TryWrite(pending);
                    if (pending.Context.Handler.Ordering == RequestOrdering.Exclusive)
                    {
                        // The response writer reports its failure.
                        await ((Task)pending.Response).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                    }
                }
            }
            finally
            {
                if (!queued)
                    frame.Release();
            }
        }
    }

    private async ValueTask<PendingResponse> StartAsync(RequestFrame frame, long receivedAt)
    {
        var reader = new WireReader(frame.Memory);
        RequestHeader header = RequestHeader.Read(ref reader);
        ApiHandler handler = _services.Handlers.Find(header.ApiKey)
            ?? throw new ProtocolException($"API {(short)header.ApiKey} is not served");
        var context = new KafkaRequestContext(handler, header, frame, frame.Length - reader.Remaining, receivedAt, this);
        _services.Metrics.RequestRead(header.ApiKey, frame.Length);
        if (!handler.Serves(header.ApiVersion))
        {
            return handler.AnswerUnservedVersion() is { } answer
                ? new PendingResponse(context, Task.FromResult<IApiMessage?>(answer), 0)
                : throw new ProtocolException(
                    $"{header.ApiKey} v{header.ApiVersion} is not served; versions {handler.MinVersion} to {handler.Api.MaxVersion} are");
        }

        if (handler.Ordering == RequestOrdering.Exclusive && _changing.Count > 0)
        {
            await Task.WhenAll(_changing).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _changing.Clear();
        }

        Task<IApiMessage?> response = await handler.StartAsync(context);
        if (handler.Ordering == RequestOrdering.Pipelined && !response.IsCompleted)
        {
            _changing.RemoveAll(static task => task.IsCompleted);
            _changing.Add(response);
        }

        return new PendingResponse(context, response, header.ApiVersion);
    }

    private async ValueTask WaitForCapacityAsync(int length)
    {
        while (!_stopping
            && (Volatile.Read(ref _inFlight) >= _services.Options.MaxInFlightRequests
                || (Volatile.Read(ref _inFlight) > 0 && Volatile.Read(ref _bytesInFlight) + length > _services.Options.MaxInFlightBytes)))
        {
            await _responseWritten.WaitAsync();
        }
    }
}
