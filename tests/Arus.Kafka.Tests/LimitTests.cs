using System.Diagnostics.Metrics;
using System.Net;
using Arus.Protocol;
using Arus.Testing;
using Microsoft.Extensions.Diagnostics.Metrics.Testing;

namespace Arus.Kafka.Tests;

public sealed class LimitTests
{
    [Fact]
    public async Task Connections_above_the_limit_are_closed_and_room_is_given_back()
    {
        await using var kafka = new KafkaHarness(options => options with { MaxConnections = 2 });
        TestConnection first = kafka.Connect();
        TestConnection second = kafka.Connect();
        TestConnection third = kafka.Connect();
        Assert.Null(await third.ReceiveFrameAsync());
        Assert.Contains("max.connections=2", Assert.Single(kafka.Complaints), StringComparison.Ordinal);
        await first.CloseAsync();
        await first.Serving;
        await kafka.Connect().CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);
        await second.CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);
    }

    [Fact]
    public async Task Connections_are_counted_by_address()
    {
        await using var kafka = new KafkaHarness(options => options with { MaxConnectionsPerAddress = 1 });
        var one = IPAddress.Parse("192.0.2.1");
        await kafka.Connect(one).CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);

        // The same address, in the form that a dual-stack socket gives it.
        Assert.Null(await kafka.Connect(one.MapToIPv6()).ReceiveFrameAsync());
        Assert.Contains("max.connections.per.ip=1", Assert.Single(kafka.Complaints), StringComparison.Ordinal);
        await kafka.Connect(IPAddress.Parse("192.0.2.2")).CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);
    }

    [Fact]
    public async Task A_limit_that_is_changed_while_the_broker_runs_counts_for_the_next_connection()
    {
        await using var kafka = new KafkaHarness();
        TestConnection first = kafka.Connect();
        var request = new IncrementalAlterConfigsRequest
        {
            Resources =
            [
                new()
                {
                    ResourceType = 4, ResourceName = "",
                    Configs =
                    [
                        new() { Name = "max.connections.per.ip", Value = "1" },
                        new() { Name = "max.connections.per.ip.overrides", Value = "192.0.2.1:2, 192.0.2.2:0" },
                    ],
                },
            ],
        };
        Assert.Equal(ErrorCode.None, (await first.CallAsync<IncrementalAlterConfigsResponse>(request, 1)).Responses[0].ErrorCode);
        Assert.Null(await kafka.Connect().ReceiveFrameAsync());
        Assert.Null(await kafka.Connect(IPAddress.Parse("192.0.2.2")).ReceiveFrameAsync());
        var one = IPAddress.Parse("192.0.2.1");
        await kafka.Connect(one).CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);
        await kafka.Connect(one).CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);
        Assert.Null(await kafka.Connect(one).ReceiveFrameAsync());
    }

    [Fact]
    public async Task Connections_beyond_the_rate_wait()
    {
        await using var kafka = new KafkaHarness(options => options with { MaxConnectionCreationRate = 2 });
        kafka.Time.Advance(TimeSpan.FromMinutes(1));
        for (int i = 0; i < 2; i++)
            await kafka.Connect().CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);

        Task<ApiVersionsResponse> third = kafka.Connect().CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);
        kafka.Time.Advance(TimeSpan.FromMilliseconds(499));
        Assert.False(third.IsCompleted);
        kafka.Time.Advance(TimeSpan.FromMilliseconds(1));
        await third;
    }

    [Fact]
    public async Task An_idle_connection_is_closed_and_one_with_a_request_under_way_is_not()
    {
        await using var kafka = new KafkaHarness(options => options with { MaxIdle = TimeSpan.FromSeconds(60) });
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        partition.Hold();
        TestConnection idle = kafka.Connect();
        TestConnection busy = kafka.Connect();
        await idle.CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);
        await busy.SendAsync(Messages.Produce("topic", 0, Messages.Batch("a")), 9);
        await partition.WhenAsync(p => p.Appends.Count == 1);
        ListenerSweeper sweeper = SweeperOf(kafka);

        kafka.Time.Advance(TimeSpan.FromSeconds(59));
        sweeper.RunOnce();
        await idle.CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);

        kafka.Time.Advance(TimeSpan.FromSeconds(60));
        sweeper.RunOnce();
        Assert.Null(await idle.ReceiveFrameAsync());
        partition.Release();
        await busy.ReceiveAsync<ProduceResponse>(9);
        Assert.Empty(kafka.Complaints);
    }

    [Fact]
    public async Task A_client_whose_request_waits_for_room_is_not_idle()
    {
        await using var kafka = new KafkaHarness(
            options => options with { MaxIdle = TimeSpan.FromSeconds(60), MaxPartitionQueueBytes = 10 });
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        partition.Hold();
        using var requests = new MetricCollector<long>(kafka.Get<IMeterFactory>(), KafkaMetrics.MeterName, "arus.kafka.received");
        TestConnection first = kafka.Connect();
        await first.SendAsync(Messages.Produce("topic", 0, Messages.Batch("on its way")), 9);
        await first.SendAsync(Messages.Produce("topic", 0, Messages.Batch("queued")), 9);
        await partition.WhenAsync(p => p.Appends.Count == 1);
        TestConnection second = kafka.Connect();
        await second.SendAsync(Messages.Produce("topic", 0, Messages.Batch("waits for room")), 9);
        await requests.WaitForMeasurementsAsync(3, TestTimeout.Token);

        kafka.Time.Advance(TimeSpan.FromSeconds(61));
        SweeperOf(kafka).RunOnce();
        partition.Release();

        (_, ProduceResponse response) = await second.ReceiveAsync<ProduceResponse>(9);
        Assert.Equal(ErrorCode.None, response.Responses[0].PartitionResponses[0].ErrorCode);
    }

    [Fact]
    public async Task Memory_for_large_requests_is_given_in_the_order_of_asking_and_one_request_may_exceed_it()
    {
        var memory = new RequestMemory(new KafkaListenerOptions(BrokerConfig.Default) { MaxQueuedBytes = 100 });
        Assert.True(await memory.ReserveAsync(60, default));
        Assert.False(await memory.ReserveAsync(60, default), "The overdraft.");
        Task<bool> third = memory.ReserveAsync(60, default).AsTask();
        Task<bool> fourth = memory.ReserveAsync(10, default).AsTask();
        Assert.False(third.IsCompleted);
        Assert.False(fourth.IsCompleted, "It must not overtake.");
        memory.Release(60);
        Assert.True(await third.WaitAsync(TestTimeout.Value));
        Assert.True(await fourth.WaitAsync(TestTimeout.Value));
        Assert.Equal(70, memory.UsedBytes);
        Task<bool> fifth = memory.ReserveAsync(1_000, default).AsTask();
        Assert.False(fifth.IsCompleted);
        memory.ReleaseOverdraft();
        Assert.False(await fifth.WaitAsync(TestTimeout.Value));
        Assert.Equal(70, memory.UsedBytes);
    }

    [Fact]
    public async Task Requests_that_only_claim_to_be_large_keep_no_memory_from_others()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        for (int i = 0; i < 4; i++)
            await kafka.Connect().SendRawAsync(new byte[] { 0x06, 0x40, 0, 0, 0, 0 });

        ProduceResponse produced = await kafka.Connect().CallAsync<ProduceResponse>(
            Messages.Produce("topic", 0, Messages.Batch(new string('x', 500_000))), 9);
        Assert.Equal(ErrorCode.None, produced.Responses[0].PartitionResponses[0].ErrorCode);
        Assert.Empty(kafka.Complaints);
    }

    [Fact]
    public async Task A_connection_that_sends_one_request_for_too_long_is_closed()
    {
        await using var kafka = new KafkaHarness(options => options with { MaxReceiveTime = TimeSpan.FromSeconds(10) });
        TestConnection slow = kafka.Connect();
        TestConnection idle = kafka.Connect();
        await slow.SendRawAsync(new byte[] { 0, 0, 0, 20, 0, 18 });
        ListenerSweeper sweeper = SweeperOf(kafka);
        await Eventually.AsksAsync(
            () =>
            {
                kafka.Time.Advance(TimeSpan.FromSeconds(1));
                sweeper.RunOnce();
                return Task.FromResult(slow.Serving.IsCompleted);
            },
            closed => closed, _ => false, TestTimeout.Value);
        Assert.Contains("arus.request.receive.timeout.ms=10000", Assert.Single(kafka.Complaints), StringComparison.Ordinal);
        Assert.Null(await slow.ReceiveFrameAsync());
        await idle.CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);
    }

    [Fact]
    public async Task Broken_connections_write_a_limited_number_of_lines()
    {
        await using var kafka = new KafkaHarness();
        for (int i = 0; i < 25; i++)
        {
            TestConnection bad = kafka.Connect();
            await bad.SendRawAsync(new byte[] { 0, 0, 0, 0 });
            await bad.Serving;
        }

        Assert.Equal(LineLimit.MaxLines, kafka.Complaints.Length);
        kafka.Time.Advance(LineLimit.Interval);
        TestConnection last = kafka.Connect();
        await last.SendRawAsync(new byte[] { 0, 0, 0, 0 });
        await last.Serving;
        Assert.Equal(LineLimit.MaxLines + 1, kafka.Complaints.Length);
        Assert.EndsWith("it is no request (15 lines like this were left out before)", kafka.Complaints[^1], StringComparison.Ordinal);
    }

    [Fact]
    public void Blocks_of_transport_memory_are_kept_up_to_a_bound()
    {
        using var pool = new TransportMemoryPool();
        var first = pool.Rent();
        Assert.Equal(TransportMemoryPool.BlockSize, first.Memory.Length);
        first.Dispose();
        first.Dispose();
        var again = pool.Rent();
        Assert.Same(first, again);
        Assert.NotSame(again, pool.Rent());
        Assert.Throws<ArgumentOutOfRangeException>(() => pool.Rent(TransportMemoryPool.BlockSize + 1));
    }

    [Fact]
    public void Buffers_that_were_not_needed_between_two_trims_are_let_go()
    {
        var stack = new TrimmedStack<object>(maxKept: 5);
        for (int i = 0; i < 7; i++)
            stack.Push(i);

        // What came in since the last trim may be needed again.
        stack.Trim();
        object[] inUse = [Pop(), Pop(), Pop()];
        Array.ForEach(inUse, stack.Push);

        // Two of five were there all the time.
        stack.Trim();
        _ = (Pop(), Pop(), Pop());
        Assert.False(stack.TryPop(out _));

        stack.Push(1);
        stack.Trim();
        stack.Trim();
        Assert.False(stack.TryPop(out _));

        object Pop()
        {
            Assert.True(stack.TryPop(out object? buffer));
            return buffer;
        }
    }

    [Theory]
    [InlineData(16_385, 32_768)]
    [InlineData(32_768, 32_768)]
    [InlineData(32_769, 65_536)]
    [InlineData(1_048_576, 1_048_576)]
    [InlineData(8_388_608, 8_388_608)]
    [InlineData(8_388_609, 8_388_609)]
    public void Buffers_of_requests_are_used_again_unless_they_are_very_large(int bytes, int size)
    {
        var buffers = new RequestBuffers();
        byte[] first = buffers.Rent(bytes);
        Assert.Equal(size, first.Length);
        buffers.Return(first);
        byte[] second = buffers.Rent(bytes);
        Assert.Equal(size <= RequestBuffers.MaxKeptSize, ReferenceEquals(first, second));
        buffers.Return(second);
        buffers.Trim();
        buffers.Trim();
        Assert.NotSame(second, buffers.Rent(bytes));
    }

    private static ListenerSweeper SweeperOf(KafkaHarness kafka) =>
        Microsoft.Extensions.DependencyInjection.ActivatorUtilities.CreateInstance<ListenerSweeper>(kafka.Get<IServiceProvider>());
}
