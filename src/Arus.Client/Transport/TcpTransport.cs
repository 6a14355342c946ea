using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Orleans.Hosting;

namespace Arus.Client;

/// <summary>What an Orleans cluster client can be given for Arus.</summary>
public static class ClientBuilderExtensions
{
    /// <summary>
    /// Receives from the cluster in large blocks, over plain TCP. Without it everything works, and a consumer reads less than half as fast.
    /// TLS and other middleware of <c>ClientConnectionOptions</c> work as they do with Orleans' own transport.
    /// </summary>
    public static IClientBuilder UseArusTransport(this IClientBuilder builder)
    {
        // Orleans has each kind of connection take its factory by a key of its own, which only the registrations tell.
        object?[] keys = [.. builder.Services
            .Where(service => service.IsKeyedService && service.ServiceType == typeof(IConnectionFactory))
            .Select(service => service.ServiceKey)
            .Distinct()];
        builder.Services.TryAddSingleton(SiloLosses.Create);
        foreach (object? key in keys)
            builder.Services.AddKeyedSingleton<IConnectionFactory, TcpTransport>(key);

        return builder;
    }
}

/// <summary>
/// Connects an Orleans client to its gateways by TCP, with larger receive buffers than Orleans' own transport has. That one receives into
/// blocks of 4 KiB, and every block wakes the reader of the connection on another thread; an answer of a megabyte then costs as much for
/// its 256 wake-ups as for its bytes. Thread-safe.
/// </summary>
/// <param name="losses">
/// Told of every connection that has ended. The number of gateways does not tell it where a silo is back before Orleans has looked.
/// </param>
internal sealed class TcpTransport(SiloLosses losses) : IConnectionFactory
{
    private const int ReceiveBufferBytes = 128 * 1024;
    private const int SendBufferBytes = 64 * 1024;

    // Four seconds of silence, about as long as a cluster takes to replace a silo that it has lost.
    private const int KeepAliveSeconds = 1;
    private const int KeepAliveIntervalSeconds = 1;
    private const int KeepAliveRetries = 3;
    private const int UserTimeoutMs = 4000;

    /// <summary>
    /// Orleans may choose the gateway again whose silence has just ended a connection, and calls wait while it connects. The second SYN is
    /// sent after one second.
    /// </summary>
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(2);

    /// <summary>TCP_USER_TIMEOUT, in milliseconds: how long sent data may stay without acknowledgement (tcp(7)).</summary>
    private const int LinuxTcpUserTimeout = 18;

    public async ValueTask<ConnectionContext> ConnectAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(ConnectTimeout);
        try
        {
            NoticeSilence(socket);
            await socket.ConnectAsync(endpoint, limit.Token).ConfigureAwait(false);
            return new TcpConnection(new NetworkStream(socket, ownsSocket: true), losses);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            socket.Dispose();
            throw new TimeoutException($"{endpoint} did not answer within {ConnectTimeout.TotalSeconds:0} s.");
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Lets the connection end when the gateway does not answer any more, sent data or not: nothing else tells a client that a silo is
    /// gone whose network is silent, and its calls would wait for their timeout.
    /// </summary>
    private static void NoticeSilence(Socket socket)
    {
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, KeepAliveSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, KeepAliveIntervalSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, KeepAliveRetries);
        if (OperatingSystem.IsLinux())
            socket.SetRawSocketOption((int)SocketOptionLevel.Tcp, LinuxTcpUserTimeout, BitConverter.GetBytes(UserTimeoutMs));
    }

    private sealed class TcpConnection : DefaultConnectionContext
    {
        private readonly NetworkStream _stream;
        private readonly SiloLosses _losses;

        public TcpConnection(NetworkStream stream, SiloLosses losses)
        {
            (_stream, _losses) = (stream, losses);
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
            _losses.Report();
        }
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
