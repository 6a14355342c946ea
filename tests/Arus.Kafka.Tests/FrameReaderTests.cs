using System.Buffers.Binary;
using System.IO.Pipelines;
using Arus.Protocol;
using Arus.Testing;

namespace Arus.Kafka.Tests;

/// <summary>The reader of requests over a pipe whose ends run inline: when a write returns, the reader has taken what it could.</summary>
public sealed class FrameReaderTests
{
    private const int Megabyte = 1024 * 1024;

    [Fact]
    public async Task Memory_is_reserved_in_steps_as_bytes_come()
    {
        await using var kafka = new KafkaHarness();
        var end = new ClientEnd(kafka);
        Task<RequestFrame?> reading = end.ReadAsync();
        await end.ClaimAsync(100 * Megabyte);
        await end.SendAsync(RequestMemory.SmallRequest - sizeof(short) - 1);
        Assert.Equal(0, kafka.Get<RequestMemory>().UsedBytes);
        await end.SendAsync(1);
        Assert.Equal(128 * 1024, kafka.Get<RequestMemory>().UsedBytes);
        await end.SendAsync(128 * 1024);
        Assert.Equal(Megabyte, kafka.Get<RequestMemory>().UsedBytes);
        await end.SendAsync(Megabyte);
        Assert.Equal(8 * Megabyte, kafka.Get<RequestMemory>().UsedBytes);

        await end.Pipe.Writer.CompleteAsync();
        await Assert.ThrowsAsync<ProtocolException>(() => reading);
        Assert.Equal(0, kafka.Get<RequestMemory>().UsedBytes);
    }

    [Fact]
    public Task Requests_of_any_size_in_any_pieces_come_whole() => Seeds.RunAsync(fresh: 3, CutAsync);

    private static async Task CutAsync(int seed)
    {
        await using var kafka = new KafkaHarness();
        var end = new ClientEnd(kafka);
        var random = new Random(seed);
        for (int round = 0; round < 30; round++)
        {
            var request = new byte[random.Next(10, 1 << random.Next(4, 22))];
            random.NextBytes(request);
            BinaryPrimitives.WriteInt16BigEndian(request, (short)(random.Next(2) == 0 ? ApiKey.Produce : ApiKey.Metadata));
            var bytes = new byte[sizeof(int) + request.Length];
            BinaryPrimitives.WriteInt32BigEndian(bytes, request.Length);
            request.CopyTo(bytes, sizeof(int));
            Task<RequestFrame?> reading = end.ReadAsync();
            for (int at = 0; at < bytes.Length;)
            {
                int part = Math.Min(bytes.Length - at, random.Next(1, 1 << random.Next(1, 20)));
                await end.Pipe.Writer.WriteAsync(bytes.AsMemory(at, part));
                at += part;
            }

            RequestFrame frame = (await reading)!;
            Assert.True(frame.Memory.Span.SequenceEqual(request), $"Round {round}, {request.Length} bytes");
            Assert.Equal(request.Length > RequestMemory.SmallRequest ? request.Length : 0, kafka.Get<RequestMemory>().UsedBytes);
            frame.Release();
            Assert.Equal(0, kafka.Get<RequestMemory>().UsedBytes);
        }
    }

    [Fact]
    public async Task Requests_that_hold_all_memory_in_parts_do_not_wait_for_each_other_for_ever()
    {
        await using var kafka = new KafkaHarness(options => options with { MaxQueuedBytes = 2 * Megabyte });
        ClientEnd[] ends = [.. Enumerable.Range(0, 3).Select(_ => new ClientEnd(kafka))];
        Task<RequestFrame?>[] reading = [.. ends.Select(end => end.ReadAsync())];
        foreach (ClientEnd end in ends)
        {
            await end.ClaimAsync(4 * Megabyte);
            await end.SendAsync(512 * 1024);
        }

        // Two have a megabyte, and the third has exceeded the budget; each needs more than is left.
        foreach (ClientEnd end in ends)
            await end.SendAsync(4 * Megabyte - 512 * 1024 - sizeof(short));

        RequestFrame third = (await reading[2].WaitAsync(TestTimeout.Value))!;
        Assert.All(reading[..2], task => Assert.False(task.IsCompleted));
        Assert.Equal(2 * Megabyte, kafka.Get<RequestMemory>().UsedBytes);
        third.Release();
        for (int served = 0; served < 2; served++)
        {
            Task<RequestFrame?> next = await Task.WhenAny(reading[..2].Where(task => !task.IsCompleted)).WaitAsync(TestTimeout.Value);
            (await next)!.Release();
        }

        Assert.Equal(0, kafka.Get<RequestMemory>().UsedBytes);
    }

    [Fact]
    public async Task A_request_ages_from_its_first_byte_but_not_while_the_broker_makes_it_wait()
    {
        await using var kafka = new KafkaHarness(options => options with { MaxQueuedBytes = 100_000 });
        RequestMemory memory = kafka.Get<RequestMemory>();
        Assert.True(await memory.ReserveAsync(100_000, default));
        Assert.False(await memory.ReserveAsync(1, default), "The overdraft is taken, too.");
        var end = new ClientEnd(kafka);
        Task<RequestFrame?> reading = end.ReadAsync();
        kafka.Time.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal(TimeSpan.Zero, end.Reader.Age);
        await end.Pipe.Writer.WriteAsync(new byte[] { 0 });
        kafka.Time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(TimeSpan.FromSeconds(2), end.Reader.Age);

        // The rest of the size: 0x0000C350 = 50,000.
        await end.Pipe.Writer.WriteAsync(new byte[] { 0, 0xC3, 0x50 });
        await end.SendAsync(40_000);
        Assert.Equal(TimeSpan.Zero, end.Reader.Age);
        kafka.Time.Advance(TimeSpan.FromMinutes(10));
        Assert.Equal(TimeSpan.Zero, end.Reader.Age);
        Task moreIsRead = end.SendAsync(1);
        memory.Release(100_000);
        await moreIsRead.WaitAsync(TestTimeout.Value);
        await Eventually.AsksAsync(
            () => Task.FromResult(end.Reader.Age), age => age == TimeSpan.FromSeconds(2), _ => false, TestTimeout.Value);
        await end.SendAsync(9_999);
        Assert.Equal(50_000, (await reading.WaitAsync(TestTimeout.Value))!.Length);
        Assert.Equal(TimeSpan.Zero, end.Reader.Age);
    }

    [Fact]
    public async Task A_wait_for_memory_ends_with_the_connection()
    {
        await using var kafka = new KafkaHarness(options => options with { MaxQueuedBytes = 1 });
        RequestMemory memory = kafka.Get<RequestMemory>();
        Assert.True(await memory.ReserveAsync(1, default));
        Assert.False(await memory.ReserveAsync(1, default));
        using var closed = new CancellationTokenSource();
        var end = new ClientEnd(kafka, closed.Token);
        Task<RequestFrame?> reading = end.ReadAsync();
        await end.ClaimAsync(50_000);
        await end.SendAsync(40_000);
        await closed.CancelAsync();
        Assert.Null(await reading.WaitAsync(TestTimeout.Value));
        memory.Release(1);
        Assert.Equal(0, memory.UsedBytes);
    }

    private sealed class ClientEnd(KafkaHarness kafka, CancellationToken closed = default)
    {
        private FrameReader? _reader;

        public Pipe Pipe { get; } = new(new PipeOptions(
            readerScheduler: PipeScheduler.Inline, writerScheduler: PipeScheduler.Inline, pauseWriterThreshold: 0,
            useSynchronizationContext: false));

        public FrameReader Reader => _reader ??= new FrameReader(Pipe.Reader, kafka.Get<ConnectionServices>(), closed);

        public Task<RequestFrame?> ReadAsync() => Reader.ReadAsync().AsTask();

        /// <summary>The size of a request and its API key, which the size counts.</summary>
        public async Task ClaimAsync(int size)
        {
            var prefix = new byte[sizeof(int) + sizeof(short)];
            BinaryPrimitives.WriteInt32BigEndian(prefix, size);
            await Pipe.Writer.WriteAsync(prefix);
        }

        public async Task SendAsync(int bytes) => await Pipe.Writer.WriteAsync(new byte[bytes]);
    }
}
