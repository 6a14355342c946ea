using System.Buffers.Binary;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Arus.Compression;
using Arus.Grains;
using Arus.Testing;
using Orleans.Runtime;

namespace Arus.Server.Tests;

public sealed class ServerProcessTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("arus-server-").FullName;
    private readonly ServerProcess.Ports _ports = ServerProcess.Ports.Free();

    [Fact]
    public async Task It_starts_tells_its_health_and_stops_when_told_to()
    {
        await using (ServerProcess server = await ServerProcess.StartAsync(_ports, _directory))
        {
            Assert.Contains($"127.0.0.1:{_ports.Kafka}", server.Output);
            Assert.Equal("live\n", await server.GetAsync("/health/live"));
            Assert.Equal("ready\n", await server.GetAsync("/health/ready"));
            IGrainFactory grains = await server.ConnectAsync();
            await grains.GetGrain<ITopicGrain>("t").CreateAsync(new TopicSpec(1, -1, null, [], false));
            Assert.Equal(ErrorCode.None, (await grains.GetGrain<IPartitionGrain>("t/0").AppendAsync(Batch(0))).Results[0].Error);
            Task<PartitionReadResult> waiting = grains.GetGrain<IPartitionGrain>("t/0").FetchAsync(Fetch(1, PartitionRead.MaxWaitLimitMs));
            server.Terminate();
            Assert.Equal(0, await server.WaitForExitAsync());
            Assert.Contains("Arus broker 1 has stopped.", server.Output);
            AssertOnlyReadyAndStopped(server.Output);
            _ = waiting.ContinueWith(task => task.Exception, TaskScheduler.Default);
        }

        await using ServerProcess again = await ServerProcess.StartAsync(_ports, _directory);
        IGrainFactory client = await again.ConnectAsync();
        PartitionReadResult kept = await client.GetGrain<IPartitionGrain>("t/0").FetchAsync(Fetch(0));
        Assert.Equal([0L], Read(kept));
        Assert.DoesNotContain("they were cut, and the log ends", again.Output);
    }

    [Fact]
    public async Task A_healthy_broker_prints_that_it_is_ready_and_that_it_has_stopped()
    {
        await using ServerProcess server = await ServerProcess.StartAsync(_ports, _directory);
        IGrainFactory grains = await server.ConnectAsync();
        await Parallel.ForEachAsync(Enumerable.Range(0, 100), async (topic, _) =>
        {
            await grains.GetGrain<ITopicGrain>($"t{topic}").CreateAsync(new TopicSpec(1, -1, null, [], false));
            Assert.Equal(ErrorCode.None, (await grains.GetGrain<IPartitionGrain>($"t{topic}/0").AppendAsync(Batch(0))).Results[0].Error);
        });
        server.Terminate();
        Assert.Equal(0, await server.WaitForExitAsync());
        AssertOnlyReadyAndStopped(server.Output);
    }

    [Fact]
    public async Task It_stops_in_time_when_clients_take_no_responses_and_says_no_word_about_them()
    {
        await using ServerProcess server = await ServerProcess.StartAsync(_ports, _directory, "--arus.shutdown.timeout.ms=15000");
        IGrainFactory grains = await server.ConnectAsync();
        await grains.GetGrain<ITopicGrain>("t").CreateAsync(new TopicSpec(1, -1, null, [], false));
        using var builder = new RecordBatchBuilder();
        builder.Append(1_700_000_000_000, null, new byte[900_000]);
        ReadOnlyMemory<byte> batch = builder.Build(new RecordBatchOptions()).ToArray();
        ReadOnlyMemory<byte>[] batches = [.. Enumerable.Repeat(batch, 16)];
        PartitionAppendResult appended = await grains.GetGrain<IPartitionGrain>("t/0").AppendAsync(new PartitionAppend(-1, 5_000, batches));
        Assert.All(appended.Results, result => Assert.Equal(ErrorCode.None, result.Error));

        // More than the sockets' buffers take.
        var fetch = new System.Buffers.ArrayBufferWriter<byte>();
        Protocol.Frames.Write(
            fetch,
            new Protocol.FetchRequest
            {
                MinBytes = 1, MaxBytes = 50_000_000,
                Topics = [new() { Topic = "t", Partitions = [new() { Partition = 0, PartitionMaxBytes = 50_000_000 }] }],
            },
            11, 1, "deaf");
        TcpClient[] deaf = [.. Enumerable.Range(0, 20).Select(_ => new TcpClient())];
        foreach (TcpClient client in deaf)
        {
            await client.ConnectAsync("127.0.0.1", _ports.Kafka);
            await client.GetStream().WriteAsync(fetch.WrittenMemory);
            await client.GetStream().ReadExactlyAsync(new byte[4]);
        }

        long told = TimeProvider.System.GetTimestamp();
        server.Terminate();
        Assert.Equal(0, await server.WaitForExitAsync());
        Assert.InRange(TimeProvider.System.GetElapsedTime(told), TimeSpan.Zero, TimeSpan.FromSeconds(15));
        AssertOnlyReadyAndStopped(server.Output);
        Array.ForEach(deaf, client => client.Dispose());
    }

    [Fact]
    public async Task Memory_that_a_burst_took_is_given_back_within_a_minute()
    {
        await using ServerProcess server = await ServerProcess.StartAsync(_ports, _directory);
        long before = server.WorkingSet;
        TcpClient[] clients = [.. Enumerable.Range(0, 6).Select(_ => new TcpClient())];
        foreach (TcpClient client in clients)
            await client.ConnectAsync("127.0.0.1", _ports.Kafka);

        // Requests to produce, each of which lacks its last byte: what came of them is in memory.
        var part = new byte[40_000_000];
        BinaryPrimitives.WriteInt32BigEndian(part, part.Length - sizeof(int) + 1);
        await Task.WhenAll(clients.Select(client => client.GetStream().WriteAsync(part).AsTask()));
        await Eventually.AsksAsync(
            () => Task.FromResult(server.WorkingSet - before), grown => grown > 200_000_000, _ => false, TimeSpan.FromSeconds(30));
        Array.ForEach(clients, client => client.Dispose());
        await Eventually.AsksAsync(
            () => Task.FromResult(server.WorkingSet - before), grown => grown < 64_000_000, _ => false, TimeSpan.FromMinutes(1));
    }

    [Fact]
    public async Task Killed_while_it_takes_records_it_has_every_acknowledged_one_once_and_in_order()
    {
        const int Partitions = 3;
        const int KillAfter = 300;
        long[] acknowledged = new long[Partitions];
        await using (ServerProcess server = await ServerProcess.StartAsync(_ports, _directory, "--arus.flush=always"))
        {
            IGrainFactory grains = await server.ConnectAsync();
            await grains.GetGrain<ITopicGrain>("t").CreateAsync(new TopicSpec(Partitions, -1, null, [], false));
            var enough = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Task[] producers =
            [
                .. Enumerable.Range(0, Partitions).Select(partition => ProduceAsync(grains, partition, acknowledged, KillAfter, enough)),
            ];
            await enough.Task.WaitAsync(TimeSpan.FromSeconds(60));
            server.Kill();
            await server.WaitForExitAsync();
            await Task.WhenAll(producers);
        }

        await using ServerProcess again = await ServerProcess.StartAsync(_ports, _directory, "--arus.flush=always");
        IGrainFactory client = await again.ConnectAsync();
        for (int partition = 0; partition < Partitions; partition++)
        {
            List<long> values = await ReadAllAsync(client.GetGrain<IPartitionGrain>(PartitionKey.Format("t", partition)));
            Assert.Equal(Enumerable.Range(0, values.Count).Select(i => (long)i), values);
            Assert.InRange(values.Count, acknowledged[partition], acknowledged[partition] + 1);
        }

        Assert.True(acknowledged.Sum() >= KillAfter);
    }

    [Fact]
    public async Task It_refuses_to_start_with_every_reason()
    {
        (int code, string output) = await ServerProcess.RunAsync(_ports, _directory, "--broker.idd=1", "--arus.flush=never");
        Assert.Equal(2, code);
        Assert.Contains("broker.idd is not a configuration key; did you mean broker.id? (from flag --broker.idd)", output);
        Assert.Contains("arus.flush=never", output);
    }

    [Fact]
    public async Task It_refuses_a_directory_that_another_uses()
    {
        await using ServerProcess first = await ServerProcess.StartAsync(_ports, _directory);
        (int code, string output) = await ServerProcess.RunAsync(ServerProcess.Ports.Free(), _directory);
        Assert.Equal(1, code);
        Assert.Contains($"Arus cannot start: log.dir={_directory} is in use by another process", output);
    }

    [Fact]
    public async Task It_names_a_port_that_is_taken()
    {
        await using ServerProcess first = await ServerProcess.StartAsync(_ports, Path.Combine(_directory, "1"));
        ServerProcess.Ports others = ServerProcess.Ports.Free() with { Kafka = _ports.Kafka };
        (int code, string output) = await ServerProcess.RunAsync(others, Path.Combine(_directory, "2"));
        Assert.Equal(1, code);
        Assert.StartsWith("Arus cannot start: ", output);
        Assert.Contains($":{_ports.Kafka}", output);
        Assert.DoesNotContain('\n', output);
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private static void AssertOnlyReadyAndStopped(string output) => Assert.Collection(
        output.Split('\n'),
        line => Assert.StartsWith("Arus broker 1 of cluster ", line),
        line => Assert.Equal("Arus broker 1 has stopped.", line));

    private static async Task ProduceAsync(
        IGrainFactory grains, int partition, long[] acknowledged, int killAfter, TaskCompletionSource enough)
    {
        IPartitionGrain grain = grains.GetGrain<IPartitionGrain>(PartitionKey.Format("t", partition));
        for (long next = 0; ; next++)
        {
            try
            {
                PartitionAppendResult response = await grain.AppendAsync(Batch(next));
                if (response.Results[0].Error != ErrorCode.None)
                    return;
            }
            catch (Exception e) when (e is OrleansException or TimeoutException)
            {
                return;
            }

            acknowledged[partition] = next + 1;
            if (Volatile.Read(ref acknowledged[0]) + Volatile.Read(ref acknowledged[1]) + Volatile.Read(ref acknowledged[2]) >= killAfter)
                enough.TrySetResult();
        }
    }

    private static async Task<List<long>> ReadAllAsync(IPartitionGrain partition)
    {
        var values = new List<long>();
        while (true)
        {
            PartitionReadResult response = await partition.FetchAsync(Fetch(values.Count));
            Assert.Equal(ErrorCode.None, response.Error);
            List<long> some = Read(response);
            if (some.Count == 0)
            {
                Assert.Equal(values.Count, response.HighWatermark);
                return values;
            }

            values.AddRange(some);
        }
    }

    private static PartitionRead Fetch(long offset, int waitMs = 0) =>
        new(offset, -1, 1 << 20, true, waitMs, IsolationLevel.ReadUncommitted);

    internal static PartitionAppend Batch(long value)
    {
        using var builder = new RecordBatchBuilder();
        builder.Append(1_700_000_000_000, null, Encoding.ASCII.GetBytes(value.ToString(CultureInfo.InvariantCulture)));
        return new PartitionAppend(-1, 5_000, [builder.Build(new RecordBatchOptions()).ToArray()]);
    }

    private static List<long> Read(PartitionReadResult response)
    {
        byte[] bytes = [.. response.Records.SelectMany(slice => slice.ToArray())];
        var values = new List<long>();
        for (int at = 0; at < bytes.Length;)
        {
            var header = new RecordBatchHeader(bytes.AsSpan(at));
            var reader = new RecordReader(
                bytes.AsSpan(at + RecordBatchHeader.Size, header.SizeInBytes - RecordBatchHeader.Size), header.Count);
            while (reader.TryRead(out RecordView record))
                values.Add(long.Parse(record.Value, CultureInfo.InvariantCulture));

            at += header.SizeInBytes;
        }

        return values;
    }
}
