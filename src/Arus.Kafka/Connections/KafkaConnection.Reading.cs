using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Arus.Protocol;

namespace Arus.Kafka;

internal sealed partial class KafkaConnection
{
    /// <summary>The size, and the API key that follows it: enough to know what memory the frame needs.</summary>
    private const int FramePrefix = Frames.SizePrefix + sizeof(short);

    /// <summary>API key, version, correlation id and the length of the client id.</summary>
    private const int SmallestFrame = 10;

    /// <summary>Produce requests under way: an exclusive request waits for them.</summary>
    private readonly List<Task> _changing = [];

    private async Task ReadRequestsAsync()
    {
        while (!_stopping)
        {
            RequestFrame? frame = await ReadFrameAsync();
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

    /// <summary>The next request, or null when the client has closed its side or the reading was stopped.</summary>
    private async ValueTask<RequestFrame?> ReadFrameAsync()
    {
        PipeReader input = _transport.Transport.Input;
        while (!_stopping)
        {
            ReadResult read = await input.ReadAsync();
            ReadOnlySequence<byte> buffer = read.Buffer;
            if (buffer.Length >= FramePrefix)
            {
                (int size, ApiKey api) = ParsePrefix(buffer);
                return await ReadFrameAsync(input, buffer, size, api);
            }

            bool empty = buffer.IsEmpty;
            input.AdvanceTo(buffer.Start, buffer.End);
            if (read.IsCompleted)
                return empty ? null : throw new ProtocolException("the connection ended inside a request");
        }

        return null;
    }

    /// <param name="buffer">Read and not advanced yet; begins with the frame's size.</param>
    private async ValueTask<RequestFrame?> ReadFrameAsync(PipeReader input, ReadOnlySequence<byte> buffer, int size, ApiKey api)
    {
        bool isLarge = size > RequestMemory.SmallRequest;
        if (isLarge)
            await _services.Memory.ReserveAsync(size);

        bool pooled = isLarge && _services.Handlers.Find(api) is { UsesPooledRequests: true };
        RequestFrame frame = RequestFrame.Create(size, pooled, isLarge ? _services.Memory : null);
        try
        {
            buffer = buffer.Slice(Frames.SizePrefix);
            int filled = 0;
            while (true)
            {
                ReadOnlySequence<byte> part = buffer.Slice(0, Math.Min(buffer.Length, size - filled));
                part.CopyTo(frame.WritableSpan[filled..]);
                filled += (int)part.Length;
                input.AdvanceTo(part.End);
                if (filled == size)
                    return frame;

                ReadResult read = await input.ReadAsync();
                buffer = read.Buffer;
                if (buffer.IsEmpty && (read.IsCompleted || _stopping))
                {
                    input.AdvanceTo(buffer.End);
                    frame.Release();
                    return _stopping ? null : throw new ProtocolException($"the connection ended inside a request of {size} bytes");
                }
            }
        }
        catch
        {
            frame.Release();
            throw;
        }
    }

    private (int Size, ApiKey Api) ParsePrefix(ReadOnlySequence<byte> buffer)
    {
        Span<byte> prefix = stackalloc byte[FramePrefix];
        buffer.Slice(0, FramePrefix).CopyTo(prefix);
        int size = BinaryPrimitives.ReadInt32BigEndian(prefix);
        if (size > _services.Options.MaxRequestBytes || size < SmallestFrame)
        {
            string what = prefix is [0x16, 0x03, ..] ? "this looks like TLS, and the listener speaks plain text"
                : size < SmallestFrame ? "it is no request"
                : $"at most {BrokerConfigs.SocketRequestMaxBytes}={_services.Options.MaxRequestBytes} is allowed";
            throw new ProtocolException($"a request claims a size of {size} bytes: {what}");
        }

        return (size, (ApiKey)BinaryPrimitives.ReadInt16BigEndian(prefix[Frames.SizePrefix..]));
    }
}
