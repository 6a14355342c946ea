using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;

namespace Arus.Kafka.Tests;

/// <summary>What a connection leaves behind when its client is gone in the middle of a request.</summary>
public sealed class DeadClientTests
{
    public static TheoryData<string> Waits => ["join", "sync"];

    [Theory]
    [MemberData(nameof(Waits))]
    public async Task A_rebalance_is_not_waited_for_any_more(string wait)
    {
        await using var kafka = new KafkaHarness();
        FakeGroup group = kafka.Cluster.Group("g");
        group.Rebalance = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Request(wait), 5);
        await group.WaitsAsync();

        await connection.CloseAsync();
        await connection.Serving;

        // The call that was under way ends as it would; nobody asks again, and the member stays until its session ends.
        group.Joins.Enqueue(new JoinGroupResponse { ErrorCode = ErrorCode.RequestTimedOut, MemberId = "m-1" });
        group.Syncs.Enqueue(new SyncGroupResponse { ErrorCode = ErrorCode.RequestTimedOut });
        group.Rebalance.SetResult();
        Assert.InRange(group.JoinCalls.Count, 0, 1);
        Assert.Empty(kafka.Complaints);
        Assert.Equal(0, kafka.Get<ConnectionRegistry>().Count);
    }

    [Theory]
    [MemberData(nameof(Waits))]
    public async Task A_server_that_stops_does_not_wait_for_a_rebalance(string wait)
    {
        await using var kafka = new KafkaHarness();
        FakeGroup group = kafka.Cluster.Group("g");
        group.Rebalance = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Request(wait), 5);
        await group.WaitsAsync();

        Assert.Single(kafka.Get<ConnectionRegistry>().Snapshot()).StopReading();

        await connection.Serving;
        Assert.Null(await connection.ReceiveFrameAsync());
    }

    [Fact]
    public async Task A_produce_request_that_was_read_is_carried_out_and_its_memory_given_back()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        partition.Hold();
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Produce("topic", 0, Messages.Batch(new string('x', 50_000))), 9);
        await partition.WhenAsync(p => p.Appends.Count == 1);
        Assert.NotEqual(0, kafka.Get<RequestMemory>().UsedBytes);

        await connection.CloseAsync();
        partition.Release();
        await connection.Serving;

        Assert.Single(partition.Batches);
        Assert.Equal(0, kafka.Get<RequestMemory>().UsedBytes);
        Assert.Equal(0, kafka.Get<ConnectionRegistry>().Count);
    }

    [Fact]
    public async Task A_request_that_ends_in_its_middle_gives_its_memory_back()
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        byte[] frame = TestConnection.Encode(Messages.Produce("topic", 0, Messages.Batch(new string('x', 50_000))), 9, 1);
        await connection.SendRawAsync(frame.AsMemory(0, 30_000));
        await connection.CloseAsync();
        await connection.Serving;
        Assert.Equal(0, kafka.Get<RequestMemory>().UsedBytes);
        Assert.Contains("ended inside a request", Assert.Single(kafka.Complaints), StringComparison.Ordinal);
    }

    private static IApiMessage Request(string wait) => wait == "join"
        ? new JoinGroupRequest
        {
            GroupId = "g", ProtocolType = "consumer", SessionTimeoutMs = 10_000, Protocols = [new() { Name = "range" }],
        }
        : new SyncGroupRequest { GroupId = "g", MemberId = "m-1", GenerationId = 1 };
}
