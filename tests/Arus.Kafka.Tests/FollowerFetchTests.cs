using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;
using FetchRequest = Arus.Protocol.FetchRequest;
using FetchResponse = Arus.Protocol.FetchResponse;

namespace Arus.Kafka.Tests;

/// <summary>Where consumers with a rack read (KIP-392). The broker that serves them is number 1.</summary>
public sealed class FollowerFetchTests
{
    private const string RackAware = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
    private const string LeaderOnly = "org.apache.kafka.common.replica.LeaderSelector";

    [Theory]
    [InlineData("b", new[] { 1, 2, 3 }, RackAware, (short)11, 2)]
    [InlineData("b", new[] { 1, 2, 3 }, RackAware, (short)12, 2)]
    [InlineData("b", new[] { 1, 2, 3 }, RackAware, (short)10, -1)] // The version has no rack.
    [InlineData("b", new[] { 1, 3 }, RackAware, (short)11, -1)] // Nobody in sync is in that rack.
    [InlineData("b", new[] { 1, 2, 3 }, LeaderOnly, (short)11, -1)]
    [InlineData("a", new[] { 1, 2, 3 }, RackAware, (short)11, -1)] // The leader is in it itself.
    [InlineData("", new[] { 1, 2, 3 }, RackAware, (short)11, -1)]
    [InlineData("elsewhere", new[] { 1, 2, 3 }, RackAware, (short)11, -1)]
    public async Task A_consumer_is_sent_to_a_replica_in_sync_in_its_rack(
        string rack, int[] isr, string selector, short version, int expected)
    {
        await using KafkaHarness kafka = Start(leader: 1, isr, new Copy(), selector);
        kafka.Cluster.Partition("topic", 0).Put(Messages.Batch("a"));
        FetchResponse.PartitionData answer = Only(await FetchAsync(kafka.Connect(), rack, version: version));
        Assert.Equal((ErrorCode.None, expected), (answer.ErrorCode, answer.PreferredReadReplica));
        Assert.Equal(expected < 0, answer.Records.Length > 0);
        Assert.Equal((1L, 0L), (answer.HighWatermark, answer.LogStartOffset));
    }

    [Fact]
    public async Task A_consumer_at_the_end_is_sent_away_without_waiting_and_one_beyond_it_is_told_so_by_the_leader()
    {
        await using KafkaHarness kafka = Start(leader: 1, [1, 2], new Copy());
        InMemoryPartition leader = kafka.Cluster.Partition("topic", 0);
        leader.Put(Messages.Batch("a"));
        TestConnection connection = kafka.Connect();
        Assert.Equal(2, Only(await FetchAsync(connection, "b", offset: 1)).PreferredReadReplica);
        FetchResponse.PartitionData beyond = Only(await FetchAsync(connection, "b", offset: 7));
        Assert.Equal((ErrorCode.OffsetOutOfRange, -1), (beyond.ErrorCode, beyond.PreferredReadReplica));
        Assert.Empty(leader.Waits);
        Assert.All(leader.FetchedBytes, bytes => Assert.Equal(0, bytes));
    }

    [Fact]
    public async Task A_session_tells_of_the_replica_each_time_that_the_leader_is_asked()
    {
        await using KafkaHarness kafka = Start(leader: 1, [1, 2], new Copy());
        TestConnection connection = kafka.Connect();
        FetchRequest open = Request("b", 0);
        (open.SessionId, open.SessionEpoch) = (0, 0);
        FetchResponse full = await connection.CallAsync<FetchResponse>(open, 12);
        Assert.Equal(2, Only(full).PreferredReadReplica);
        FetchRequest next = Request("b", 0);
        (next.SessionId, next.SessionEpoch, next.Topics) = (full.SessionId, 1, []);
        Assert.Equal(2, Only(await connection.CallAsync<FetchResponse>(next, 12)).PreferredReadReplica);
    }

    [Fact]
    public async Task A_follower_serves_consumers_of_its_rack_and_asks_the_leader_for_what_it_cannot_serve()
    {
        var copy = new Copy();
        await using KafkaHarness kafka = Start(leader: 2, [2, 1], copy);
        byte[] batch = Messages.Batch("a");
        copy.Log.Put(batch);
        InMemoryPartition leader = kafka.Cluster.Partition("topic", 0);
        TestConnection connection = kafka.Connect();
        FetchResponse.PartitionData here = Only(await FetchAsync(connection, "a"));
        Assert.Equal((ErrorCode.None, -1, batch.Length), (here.ErrorCode, here.PreferredReadReplica, here.Records.Length));
        Assert.Empty(leader.Fetches);

        // Of another rack, or of none: the leader, by way of this broker.
        Assert.Equal(0, Only(await FetchAsync(connection, "")).HighWatermark);
        Assert.Single(leader.Fetches);

        copy.Serves = false;
        leader.Put(batch);
        leader.Put(batch);
        Assert.Equal(2, Only(await FetchAsync(connection, "a")).HighWatermark);
        Assert.Equal(2, leader.Fetches.Count);
        Assert.Empty(leader.Waits);
    }

    [Fact]
    public async Task A_delayed_fetch_waits_for_what_the_follower_gets_to_know()
    {
        var copy = new Copy();
        await using KafkaHarness kafka = Start(leader: 2, [2, 1], copy);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Request("a", 0, maxWaitMs: 500), 11);
        await kafka.Time.WaitForArmedTimersAsync(1);
        copy.Log.Put(Messages.Batch("x"));
        (_, FetchResponse full) = await connection.ReceiveAsync<FetchResponse>(11);
        Assert.NotEqual(0, Only(full).Records.Length);
        InMemoryPartition leader = kafka.Cluster.Partition("topic", 0);
        Assert.Empty(leader.Fetches);
        Assert.Empty(leader.Waits);
    }

    private static KafkaHarness Start(int leader, int[] isr, Copy copy, string selector = RackAware)
    {
        var kafka = new KafkaHarness(followers: copy, config: ("replica.selector.class", selector));
        TopicDescription topic = kafka.Cluster.AddTopic("topic", 1);
        kafka.Cluster.Topic("topic").Description = topic with { Partitions = [new PartitionAssignment(0, leader, 5, isr, isr)] };
        kafka.Cluster.Description = kafka.Cluster.Description with
        {
            Brokers =
            [
                .. new[] { "a", "b", "c" }.Select((rack, i) => new BrokerRegistration(
                    i + 1, $"broker-{i + 1}", [new BrokerEndpoint("PLAINTEXT", $"{rack}.example", 9092)], rack)),
            ],
        };
        return kafka;
    }

    private static FetchRequest Request(string rack, long offset, int maxWaitMs = 0)
    {
        FetchRequest request = Messages.Fetch("topic", [(0, offset)], maxWaitMs);
        request.RackId = rack;
        return request;
    }

    private static Task<FetchResponse> FetchAsync(TestConnection connection, string rack, long offset = 0, short version = 11) =>
        connection.CallAsync<FetchResponse>(Request(rack, offset), version);

    private static FetchResponse.PartitionData Only(FetchResponse response) => response.Responses.Single().Partitions.Single();

    /// <summary>A follower's copy of the partition, with a log of its own.</summary>
    private sealed class Copy : ILocalFollowers
    {
        public InMemoryPartition Log { get; } = new(leaderEpoch: InMemoryCluster.LeaderEpoch);

        public bool Serves { get; set; } = true;

        public async Task<PartitionReadResult?> FetchAsync(Arus.TopicPartition partition, PartitionRead request) =>
            Serves ? await Log.FetchAsync(request) : null;

        public async Task<PartitionOffsets?> WaitForOffsetAsync(Arus.TopicPartition partition, PartitionWait request) =>
            Serves ? await Log.WaitForOffsetAsync(request) : null;
    }
}
