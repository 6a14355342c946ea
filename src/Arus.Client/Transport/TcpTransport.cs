using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace Arus.Client;

/// <summary>
/// Connects an Orleans client to its gateways by TCP, with larger receive buffers than Orleans' own transport has. That one receives into
/// blocks of 4 KiB, and every block wakes the reader of the connection on another thread; an answer of a megabyte then costs as much for
/// its 256 wake-ups as for its bytes. Thread-safe.
/// </summary>
internal sealed class TcpTransport : IConnectionFactory
{
    private const int ReceiveBufferBytes = 128 * 1024;
    private const int SendBufferBytes = 64 * 1024;

    public async ValueTask<ConnectionContext> ConnectAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            await socket.ConnectAsync(endpoint, cancellationToken).ConfigureAwait(false);
            return new TcpConnection(new NetworkStream(socket, ownsSocket: true));
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private sealed class TcpConnection : DefaultConnectionContext
    {
        private readonly NetworkStream _stream;

        public TcpConnection(NetworkStream stream)
        {
            _stream = stream;
            LocalEndPoint = stream.Socket.LocalEndPoint;
            RemoteEndPoint = stream.Socket.RemoteEndPoint;
            Transport = new Duplex(
                PipeReader.Create(
                    stream, new StreamPipeReaderOptions(bufferSize: ReceiveBufferBytes, leaveOpen: true, useZeroByteReads: true)),
                PipeWriter.Create(stream, new StreamPipeWriterOptions(minimumBufferSize: SendBufferBytes, leaveOpen: true)));
        }

        public override void Abort(ConnectionAbortedException abortReason)
        {
            // Ends a receive or a send that is under way.
            _stream.Dispose();
            base.Abort(abortReason);
        }

        public override async ValueTask DisposeAsync()
        {
            await _stream.DisposeAsync().ConfigureAwait(false);
            await base.DisposeAsync().ConfigureAwait(false);
        }
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
