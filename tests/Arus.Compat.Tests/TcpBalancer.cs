using System.Net;
using System.Net.Sockets;

namespace Arus.Compat.Tests;

/// <summary>
/// A plain TCP load balancer: each connection goes to the next backend that takes it, and ends with it. It knows nothing of Kafka.
/// </summary>
internal sealed class TcpBalancer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stopped = new();
    private Task _accepting = Task.CompletedTask;
    private int _next;

    public TcpBalancer()
    {
        _listener.Start();
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
    }

    public int Port { get; }

    /// <summary>How many connections each backend got.</summary>
    public IReadOnlyList<int> Connections { get; private set; } = [];

    public void Serve(IEnumerable<int> backendPorts)
    {
        int[] ports = [.. backendPorts];
        var connections = new int[ports.Length];
        Connections = connections;
        _accepting = Task.Run(async () =>
        {
            while (true)
            {
                Socket client = await _listener.AcceptSocketAsync(_stopped.Token);
                _ = Task.Run(() => ServeAsync(client, ports, connections));
            }
        });
    }

    public async ValueTask DisposeAsync()
    {
        await _stopped.CancelAsync();
        _listener.Stop();
        await _accepting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task ServeAsync(Socket client, int[] ports, int[] connections)
    {
        using Socket from = client;
        for (int attempt = 0; attempt < ports.Length; attempt++)
        {
            int backend = (int)((uint)Interlocked.Increment(ref _next) % (uint)ports.Length);
            using var to = new Socket(SocketType.Stream, ProtocolType.Tcp);
            try
            {
                await to.ConnectAsync(IPAddress.Loopback, ports[backend], _stopped.Token);
            }
            catch (SocketException)
            {
                continue;
            }

            Interlocked.Increment(ref connections[backend]);
            await Task.WhenAny(PumpAsync(from, to), PumpAsync(to, from));
            return;
        }
    }

    private async Task PumpAsync(Socket from, Socket to)
    {
        byte[] buffer = new byte[64 * 1024];
        try
        {
            for (int read; (read = await from.ReceiveAsync(buffer.AsMemory(), _stopped.Token)) > 0;)
            {
                for (int sent = 0; sent < read;)
                    sent += await to.SendAsync(buffer.AsMemory(sent, read - sent), _stopped.Token);
            }
        }
        catch (Exception end) when (end is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The other direction, or the balancer, has ended.
        }
    }
}
