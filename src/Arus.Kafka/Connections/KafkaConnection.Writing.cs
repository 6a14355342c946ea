using System.Diagnostics;
using System.IO.Pipelines;
using System.Threading.Channels;
using Arus.Protocol;

namespace Arus.Kafka;

internal sealed partial class KafkaConnection
{
    /// <summary>Responses are gathered up to here before they go to the socket.</summary>
    private const int FlushAt = 64 * 1024;

    /// <summary>The client takes nothing any more; what is left is only released.</summary>
    private bool _clientGone;

    /// <summary>Takes every pending response in order, to the very last, so that nothing stays unreleased.</summary>
    private async Task WriteResponsesAsync()
    {
        ChannelReader<PendingResponse> pending = _pending.Reader;
        long unflushed = 0;
        while (await pending.WaitToReadAsync())
        {
            while (pending.TryRead(out PendingResponse? next))
            {
                if (unflushed >= FlushAt || (unflushed > 0 && !next.Response.IsCompleted))
                {
                    await FlushAsync();
                    unflushed = 0;
                }

                unflushed += await WriteAsync(next);
            }

            if (unflushed > 0)
            {
                await FlushAsync();
                unflushed = 0;
            }
        }
    }

    private async ValueTask<int> WriteAsync(PendingResponse pending)
    {
        RequestHeader header = pending.Context.Header;
        int written = 0;
        try
        {
            IApiMessage? response = await pending.Response;
            if (response is not null && !_clientGone && Volatile.Read(ref _broken) == 0)
            {
                written = pending.Context.Handler.ReferencedBytesOf(response) >= FlushAt
                    ? await WriteLargeAsync(response, pending.ResponseVersion, header.CorrelationId)
                    : Frames.Write(_transport.Transport.Output, response, pending.ResponseVersion, header.CorrelationId);
            }
        }
        catch (Exception exception)
        {
            _services.Metrics.RequestFailed(header.ApiKey);
            pending.Context.Activity?.SetStatus(ActivityStatusCode.Error);
            Break(exception);
        }

        pending.Context.Frame.Release();
        pending.Context.ReleaseMemory(pending.Context.ResponseBytes);
        TimeProvider time = _services.Time;
        _services.Metrics.RequestDone(header.ApiKey, written, time.GetElapsedTime(pending.Context.ReceivedAt));
        pending.Context.Activity?.Dispose();
        Volatile.Write(ref _lastActivity, time.GetTimestamp());
        long bytesLeft = Interlocked.Add(ref _bytesInFlight, -pending.Context.Frame.Length);
        int left = Interlocked.Decrement(ref _inFlight);
        Debug.Assert(bytesLeft >= 0 && left >= 0, "Each request leaves once.");
        _responseWritten.Set();
        return written;
    }

    /// <summary>Writes a response block by block, no faster than the client takes it.</summary>
    private async ValueTask<int> WriteLargeAsync(IApiMessage response, short version, int correlationId)
    {
        using var buffer = new ResponseBuffer();
        int size = Frames.Write(buffer, response, version, correlationId);
        PipeWriter output = _transport.Transport.Output;
        int unflushed = 0;
        foreach (ReadOnlyMemory<byte> segment in buffer.Segments)
        {
            ReadOnlyMemory<byte> rest = segment;
            while (rest.Length > 0)
            {
                if (unflushed >= FlushAt)
                {
                    await FlushAsync();
                    unflushed = 0;
                    if (_clientGone || Volatile.Read(ref _broken) != 0)
                        return 0;
                }

                Memory<byte> block = output.GetMemory();
                int part = Math.Min(Math.Min(block.Length, rest.Length), FlushAt - unflushed);
                rest.Span[..part].CopyTo(block.Span);
                output.Advance(part);
                rest = rest[part..];
                unflushed += part;
            }
        }

        return size;
    }

    private async ValueTask FlushAsync()
    {
        if (_clientGone || Volatile.Read(ref _broken) != 0)
            return;

        try
        {
            _blockedOnClient = true;
            FlushResult result = await _transport.Transport.Output.FlushAsync();
            _clientGone = result.IsCompleted;
        }
        catch (Exception exception)
        {
            Break(exception);
        }
        finally
        {
            _blockedOnClient = false;
            Volatile.Write(ref _lastActivity, _services.Time.GetTimestamp());
        }
    }
}
