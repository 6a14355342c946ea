using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Time.Testing;
using Orleans.Runtime;

namespace Arus.Client.Tests;

public sealed class TcpTransportTests : IDisposable
{
    private readonly CancellationTokenSource _bound = new(TimeSpan.FromSeconds(30));
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly FakeTimeProvider _time = new();
    private readonly SiloLosses _losses;

    public TcpTransportTests()
    {
        _losses = new SiloLosses(_time);
        _listener.Start();
    }

    public void Dispose()
    {
        _listener.Dispose();
        _bound.Dispose();
    }

    [Fact]
    public async Task Bytes_arrive_in_blocks_and_in_order_both_ways()
    {
        (ConnectionContext connection, Socket peer) = await ConnectAsync();
        using (peer)
        await using (connection)
        {
            byte[] sent = new byte[3_000_000];
            new Random(1).NextBytes(sent);
            Task echo = EchoAsync(peer, sent.Length);
            Task send = connection.Transport.Output.WriteAsync(sent, _bound.Token).AsTask();
            ReadResult received = await connection.Transport.Input.ReadAtLeastAsync(sent.Length, _bound.Token);
            await Task.WhenAll(send, echo);
            Assert.True(received.Buffer.ToArray().AsSpan().SequenceEqual(sent));
            connection.Transport.Input.AdvanceTo(received.Buffer.End);
        }
    }

    [Fact]
    public async Task The_end_of_the_peer_completes_the_input()
    {
        (ConnectionContext connection, Socket peer) = await ConnectAsync();
        await using (connection)
        {
            peer.Dispose();
            Assert.True((await connection.Transport.Input.ReadAsync(_bound.Token)).IsCompleted);
        }
    }

    [Fact]
    public async Task Aborting_ends_a_receive_and_tells_who_watches_the_connection()
    {
        (ConnectionContext connection, Socket peer) = await ConnectAsync();
        using (peer)
        await using (connection)
        {
            var closed = new TaskCompletionSource();
            connection.ConnectionClosed.Register(closed.SetResult);
            Task<ReadResult> receive = connection.Transport.Input.ReadAsync(_bound.Token).AsTask();
            connection.Abort();
            await Assert.ThrowsAnyAsync<Exception>(() => receive);
            Assert.False(_bound.IsCancellationRequested);
            await closed.Task.WaitAsync(_bound.Token);
        }
    }

    [Fact]
    public async Task Calls_are_given_up_when_a_connection_has_ended_though_its_gateway_is_back_at_once()
    {
        (ConnectionContext connection, Socket peer) = await ConnectAsync();
        Task<int> call = _losses.CallAsync(
            _ => new TaskCompletionSource<int>().Task, Timeout.InfiniteTimeSpan, CancellationToken.None);
        peer.Dispose();
        await connection.DisposeAsync();
        _time.Advance(TimeSpan.FromSeconds(1));
        await Assert.ThrowsAsync<SiloUnavailableException>(() => call.WaitAsync(_bound.Token));
    }

    [Fact]
    public async Task A_port_that_nobody_listens_on_is_refused()
    {
        EndPoint endpoint = _listener.LocalEndpoint;
        _listener.Stop();
        await Assert.ThrowsAsync<SocketException>(() => new TcpTransport(_losses).ConnectAsync(endpoint, _bound.Token).AsTask());
    }

    [Fact]
    public async Task An_endpoint_that_does_not_answer_is_given_up_soon()
    {
        // One connection that is not accepted fills the queue, and the requests of others get no answer.
        using var full = new TcpListener(IPAddress.Loopback, 0);
        full.Start(backlog: 0);
        using var first = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await first.ConnectAsync(full.LocalEndpoint, _bound.Token);
        TimeoutException e = await Assert.ThrowsAsync<TimeoutException>(
            () => new TcpTransport(_losses).ConnectAsync(full.LocalEndpoint, _bound.Token).AsTask());
        Assert.Contains($"{full.LocalEndpoint} did not answer", e.Message);
    }

    private async Task<(ConnectionContext Connection, Socket Peer)> ConnectAsync()
    {
        Task<Socket> accept = _listener.AcceptSocketAsync(_bound.Token).AsTask();
        ConnectionContext connection = await new TcpTransport(_losses).ConnectAsync(_listener.LocalEndpoint, _bound.Token);
        return (connection, await accept);
    }

    private async Task EchoAsync(Socket peer, int count)
    {
        byte[] buffer = new byte[65_536];
        for (int left = count; left > 0;)
        {
            int read = await peer.ReceiveAsync(buffer, _bound.Token);
            left -= read;
            await peer.SendAsync(buffer.AsMemory(0, read), _bound.Token);
        }
    }
}
