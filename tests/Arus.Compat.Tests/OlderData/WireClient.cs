using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Arus.Protocol;

namespace Arus.Compat.Tests.OlderData;

/// <summary>A connection that speaks the Kafka protocol message by message, for what clients hide. Not thread-safe.</summary>
internal sealed class WireClient : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly TcpClient _tcp = new() { NoDelay = true };
    private int _correlation;

    private WireClient()
    {
    }

    public static async Task<WireClient> ConnectAsync(int port)
    {
        var client = new WireClient();
        await client._tcp.ConnectAsync(IPAddress.Loopback, port).WaitAsync(Limit);
        return client;
    }

    public async Task<T> CallAsync<T>(IApiMessage request, short version)
        where T : IApiMessage<T>
    {
        var frame = new ArrayBufferWriter<byte>();
        Frames.Write(frame, request, version, ++_correlation, "fixture");
        using var deadline = new CancellationTokenSource(Limit);
        NetworkStream stream = _tcp.GetStream();
        await stream.WriteAsync(frame.WrittenMemory, deadline.Token);
        byte[] prefix = new byte[Frames.SizePrefix];
        await stream.ReadExactlyAsync(prefix, deadline.Token);
        byte[] response = new byte[BinaryPrimitives.ReadInt32BigEndian(prefix)];
        await stream.ReadExactlyAsync(response, deadline.Token);
        T message = Frames.ReadResponse<T>(response, version, out int correlation);
        Assert.Equal(_correlation, correlation);
        return message;
    }

    /// <summary>Appends one batch, which has to be accepted or refused as a whole.</summary>
    public async Task<(ErrorCode Error, long BaseOffset)> ProduceAsync(string topic, int partition, ReadOnlyMemory<byte> batch)
    {
        ProduceResponse response = await CallAsync<ProduceResponse>(
            new ProduceRequest
            {
                Acks = -1,
                TimeoutMs = 10_000,
                TopicData = [new() { Name = topic, PartitionData = [new() { Index = partition, Records = new Records(batch) }] }],
            },
            version: 9);
        ProduceResponse.PartitionProduceResponse result = response.Responses[0].PartitionResponses[0];
        return (result.ErrorCode, result.BaseOffset);
    }

    public void Dispose() => _tcp.Dispose();
}
