using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace Orleans.Runtime;

/// <summary>Accepts connections on one endpoint until it is disposed.</summary>
internal sealed partial class SocketListener(IPEndPoint endpoint, Action<Socket> accepted, ILogger logger) : IDisposable
{
    private const int Backlog = 512;
    private readonly Socket _socket = new(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);

    /// <exception cref="OrleansConfigurationException">The endpoint is taken, or not this machine's.</exception>
    public void Start()
    {
        try
        {
            _socket.Bind(endpoint);
            _socket.Listen(Backlog);
        }
        catch (SocketException exception)
        {
            throw new OrleansConfigurationException($"Cannot listen on {endpoint}: {exception.Message}", exception);
        }

        _ = AcceptAsync();
    }

    public void Dispose() => _socket.Dispose();

    private async Task AcceptAsync()
    {
        while (true)
        {
            try
            {
                accepted(await _socket.AcceptAsync());
            }
            catch (Exception exception) when (exception is ObjectDisposedException || exception is SocketException { SocketErrorCode: SocketError.OperationAborted or SocketError.Interrupted })
            {
                return;
            }
            catch (SocketException exception)
            {
                LogAcceptFailed(logger, endpoint, exception.Message);
                await Task.Delay(100);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A connection to {Endpoint} could not be accepted: {Reason}")]
    private static partial void LogAcceptFailed(ILogger logger, IPEndPoint endpoint, string reason);
}
