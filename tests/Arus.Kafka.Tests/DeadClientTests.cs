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
        InMemoryGroup group = kafka.Cluster.Group("g");
        int calls = 0;
        TestConnection connection = await WaitAsync(kafka, wait, () => calls++);

        await connection.CloseAsync();
        await connection.Serving;

        // The call that was under way ends as it would; nobody asks again, and the member stays until its session ends.
        kafka.Time.Advance(TimeSpan.FromMilliseconds(IGroupGrain.MaxWaitMs));
        Assert.Equal(0, group.WaitingCalls);
        Assert.Equal(1, calls);
        Assert.Empty(kafka.Complaints);
        Assert.Equal(0, kafka.Get<ConnectionRegistry>().Count);
    }

    [Theory]
    [MemberData(nameof(Waits))]
    public async Task A_server_that_stops_does_not_wait_for_a_rebalance(string wait)
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = await WaitAsync(kafka, wait, () => { });

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

    /// <summary>Joins or syncs over a connection, in a group whose other member keeps the call waiting.</summary>
    private static async Task<TestConnection> WaitAsync(KafkaHarness kafka, string wait, Action onCall)
    {
        InMemoryGroup group = kafka.Cluster.Group("g");
        JoinGroupResponse leader = await group.JoinAndSyncAsync("leader");
        IApiMessage request = wait == "join"
            ? new JoinGroupRequest
            {
                GroupId = "g", ProtocolType = "consumer", SessionTimeoutMs = 10_000, Protocols = [new() { Name = "range" }],
            }
            : await FollowAsync(group, leader.MemberId);
        group.BeforeCall = _ => onCall();
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(request, 3);
        await group.WhenAsync(g => g.WaitingCalls == 1);
        return connection;
    }

    /// <summary>A second member joins; its sync has to wait for that of the leader.</summary>
    private static async Task<SyncGroupRequest> FollowAsync(InMemoryGroup group, string leaderId)
    {
        Task<JoinGroupResponse> joining = group.JoinAsync("follower");
        await group.JoinAsync("leader", leaderId);
        JoinGroupResponse follower = await joining;
        return new SyncGroupRequest { GroupId = "g", MemberId = follower.MemberId, GenerationId = follower.GenerationId };
    }
}
