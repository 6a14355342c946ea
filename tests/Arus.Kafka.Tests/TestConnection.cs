using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Arus.Protocol;
using Arus.Testing;

namespace Arus.Kafka.Tests;

/// <summary>The client's end of a connection: writes requests and reads responses, byte by byte if need be.</summary>
internal sealed class TestConnection
{
    private readonly Pipe _toServer = new(new PipeOptions(useSynchronizationContext: false));
    private readonly Pipe _toClient = new(new PipeOptions(useSynchronizationContext: false));
    private int _correlation;

    public TestConnection() => ServerSide = new Duplex(_toServer.Reader, _toClient.Writer);

    public IDuplexPipe ServerSide { get; }

    /// <summary>Ends when the server is done with the connection, or with a <see cref="TimeoutException"/>.</summary>
    public Task Serving { get; set; } = Task.CompletedTask;

    /// <summary>Tells the server's transport that the client is gone, whether anybody reads or not.</summary>
    public Action OnClosed { get; set; } = () => { };

    public async Task<T> CallAsync<T>(IApiMessage request, short version)
        where T : IApiMessage<T>
    {
        int correlation = await SendAsync(request, version);
        (int answered, T response) = await ReceiveAsync<T>(version);
        Assert.Equal(correlation, answered);
        return response;
    }

    public async Task<int> SendAsync(IApiMessage request, short version)
    {
        int correlation = ++_correlation;
        Frames.Write(_toServer.Writer, request, version, correlation, "test-client");
        await _toServer.Writer.FlushAsync();
        return correlation;
    }

    public async Task SendRawAsync(ReadOnlyMemory<byte> bytes) => await _toServer.Writer.WriteAsync(bytes);

    public async Task<(int Correlation, T Response)> ReceiveAsync<T>(short version)
        where T : IApiMessage<T>
    {
        byte[] frame = await ReceiveFrameAsync() ?? throw new EndOfStreamException("The server closed the connection.");
        return (BinaryPrimitives.ReadInt32BigEndian(frame), Frames.ReadResponse<T>(frame, version, out _));
    }

    /// <summary>The next response, or null when the server has closed the connection.</summary>
    /// <exception cref="TimeoutException">The server did neither.</exception>
    public async Task<byte[]?> ReceiveFrameAsync()
    {
        while (true)
        {
            ReadResult read;
            try
            {
                read = await _toClient.Reader.ReadAsync().AsTask().WaitAsync(TestTimeout.Value);
            }
            catch (Exception exception) when (exception is not (InvalidOperationException or TimeoutException))
            {
                return null;
            }

            if (read.Buffer.Length >= Frames.SizePrefix)
            {
                int size = Size(read.Buffer);
                if (read.Buffer.Length >= Frames.SizePrefix + size)
                {
                    ReadOnlySequence<byte> frame = read.Buffer.Slice(Frames.SizePrefix, size);
                    byte[] bytes = frame.ToArray();
                    _toClient.Reader.AdvanceTo(frame.End);
                    return bytes;
                }
            }

            if (read.IsCompleted)
                return null;

            _toClient.Reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }

    /// <summary>Whether a response is there now.</summary>
    public bool HasResponse()
    {
        if (!_toClient.Reader.TryRead(out ReadResult read))
            return false;

        _toClient.Reader.AdvanceTo(read.Buffer.Start);
        return !read.Buffer.IsEmpty;
    }

    /// <summary>Sends nothing more, but takes what is answered.</summary>
    public async Task EndAsync() => await _toServer.Writer.CompleteAsync();

    public async Task CloseAsync()
    {
        await _toServer.Writer.CompleteAsync();
        await _toClient.Reader.CompleteAsync();
        OnClosed();
    }

    public static byte[] Encode(IApiMessage request, short version, int correlation)
    {
        var buffer = new ArrayBufferWriter<byte>();
        Frames.Write(buffer, request, version, correlation, "test-client");
        return buffer.WrittenSpan.ToArray();
    }

    private static int Size(ReadOnlySequence<byte> buffer)
    {
        Span<byte> size = stackalloc byte[Frames.SizePrefix];
        buffer.Slice(0, Frames.SizePrefix).CopyTo(size);
        return BinaryPrimitives.ReadInt32BigEndian(size);
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
