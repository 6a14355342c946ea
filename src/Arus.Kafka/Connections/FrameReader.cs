using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>
/// Cuts what a client sends into requests. A request may claim any size up to the limit, but takes memory only as its bytes come.
/// </summary>
/// <param name="closed">Ends the wait for memory.</param>
internal sealed class FrameReader(PipeReader input, ConnectionServices services, CancellationToken closed)
{
    /// <summary>API key, version, correlation id and the length of the client id.</summary>
    private const int SmallestFrame = 10;

    private const long NotBegun = long.MaxValue;

    private long _begunAt = NotBegun;

    /// <summary>
    /// How long the client has taken so far to send the request that it has begun; zero between requests and while the broker makes it
    /// wait for memory. Safe to read from any thread.
    /// </summary>
    public TimeSpan Age =>
        Volatile.Read(ref _begunAt) is var begunAt and not NotBegun ? services.Time.GetElapsedTime(begunAt) : TimeSpan.Zero;

    /// <summary>
    /// The next request, or null when the client has closed its side, the read was cancelled or the wait for memory ended.
    /// </summary>
    /// <exception cref="ProtocolException">It is no request, or larger than allowed, or the connection ended inside it.</exception>
    public async ValueTask<RequestFrame?> ReadAsync()
    {
        RequestFrame? partial = null;
        try
        {
            while (true)
            {
                ReadResult read = await input.ReadAsync();
                if (read.IsCanceled)
                {
                    input.AdvanceTo(read.Buffer.Start);
                    return null;
                }

                ReadOnlySequence<byte> buffer = read.Buffer;
                partial ??= TryBegin(ref buffer);
                if (partial is null)
                    input.AdvanceTo(buffer.Start, buffer.End);
                else
                    input.AdvanceTo(await FillAsync(partial, buffer));

                if (partial is { IsFilled: true } whole)
                {
                    partial = null;
                    return whole;
                }

                if (read.IsCompleted)
                    return partial is null && buffer.IsEmpty ? null : throw new ProtocolException("the connection ended inside a request");

                if (_begunAt == NotBegun)
                    Volatile.Write(ref _begunAt, services.Time.GetTimestamp());
            }
        }
        catch (OperationCanceledException) when (closed.IsCancellationRequested)
        {
            return null;
        }
        finally
        {
            Volatile.Write(ref _begunAt, NotBegun);
            partial?.Release();
        }
    }

    /// <summary>
    /// A frame to fill, once a small request is there as a whole, or the beginning of a large one: till then it takes no memory but the
    /// transport's.
    /// </summary>
    /// <param name="buffer">Begins with the size, which is cut off when there is a frame.</param>
    private RequestFrame? TryBegin(ref ReadOnlySequence<byte> buffer)
    {
        if (buffer.Length < Frames.SizePrefix)
            return null;

        int size = ReadSize(buffer);
        if (buffer.Length < Frames.SizePrefix + Math.Min(size, RequestMemory.SmallRequest))
            return null;

        buffer = buffer.Slice(Frames.SizePrefix);
        if (size <= RequestMemory.SmallRequest)
            return new RequestFrame(size, pooled: false, memory: null);

        Span<byte> api = stackalloc byte[sizeof(short)];
        buffer.Slice(0, api.Length).CopyTo(api);
        ApiHandler? handler = services.Handlers.Find((ApiKey)BinaryPrimitives.ReadInt16BigEndian(api));
        return new RequestFrame(size, handler is { UsesPooledRequests: true }, services.Memory);
    }

    private async ValueTask<SequencePosition> FillAsync(RequestFrame frame, ReadOnlySequence<byte> buffer)
    {
        ValueTask<SequencePosition> filling = frame.FillAsync(buffer, closed);
        if (filling.IsCompleted)
            return await filling;

        // The client is not slow while the broker has no memory for it.
        TimeSpan age = Age;
        Volatile.Write(ref _begunAt, NotBegun);
        SequencePosition end = await filling;
        Volatile.Write(ref _begunAt, services.Time.GetTimestamp() - (long)(age.TotalSeconds * services.Time.TimestampFrequency));
        return end;
    }

    private int ReadSize(ReadOnlySequence<byte> buffer)
    {
        Span<byte> prefix = stackalloc byte[Frames.SizePrefix];
        buffer.Slice(0, prefix.Length).CopyTo(prefix);
        int size = BinaryPrimitives.ReadInt32BigEndian(prefix);
        if (size >= SmallestFrame && size <= services.Options.MaxRequestBytes)
            return size;

        string what = prefix is [0x16, 0x03, ..] ? "this looks like TLS, and the listener speaks plain text"
            : size < SmallestFrame ? "it is no request"
            : $"at most {BrokerConfigs.SocketRequestMaxBytes}={services.Options.MaxRequestBytes} is allowed";
        throw new ProtocolException($"a request claims a size of {size} bytes: {what}");
    }
}
