using System.Buffers;
using System.Buffers.Binary;
using System.Net.Sockets;
using Arus.Protocol;

namespace Arus.Hosting.Tests;

/// <summary>A Kafka client with one connection and one request at a time.</summary>
internal sealed class KafkaClient : IDisposable
{
    private readonly TcpClient _connection = new();

    public static async Task<KafkaClient> ConnectAsync(HostPort address, CancellationToken cancellationToken)
    {
        var client = new KafkaClient();
        await client._connection.ConnectAsync(address.Host, address.Port, cancellationToken);
        return client;
    }

    public async Task<T> CallAsync<T>(IApiMessage request, short version, CancellationToken cancellationToken)
        where T : IApiMessage<T>
    {
        var frame = new ArrayBufferWriter<byte>();
        Frames.Write(frame, request, version, 1, "test");
        NetworkStream stream = _connection.GetStream();
        await stream.WriteAsync(frame.WrittenMemory, cancellationToken);
        byte[] size = new byte[Frames.SizePrefix];
        await stream.ReadExactlyAsync(size, cancellationToken);
        byte[] response = new byte[BinaryPrimitives.ReadInt32BigEndian(size)];
        await stream.ReadExactlyAsync(response, cancellationToken);
        return Frames.ReadResponse<T>(response, version, out _);
    }

    public void Dispose() => _connection.Dispose();
}
