using System.Data.Common;
using Arus.Grains;
using Arus.Protocol;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Kafka.Tests;

/// <summary>What clients are told, and the log, when a grain cannot read or write what it is stored in.</summary>
public sealed class StorageFailureTests
{
    public static TheoryData<string, Exception> Failures => new()
    {
        { "disk", new IOException("No space left on device") },
        { "rights", new UnauthorizedAccessException("Access to the path is denied.") },
        { "database", new DatabaseException() },
        { "wrapped as Orleans does", new OrleansException("Error from storage provider arus during ReadState", new IOException("broken")) },
        { "corrupt", new CorruptGrainStateException("/metadata/topic", "its CRC-32C is wrong") },
    };

    [Theory]
    [MemberData(nameof(Failures))]
    public async Task A_storage_that_fails_is_a_reason_to_try_again_for_each_kind_of_client(string what, Exception failure)
    {
        Assert.NotEmpty(what);
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        kafka.Cluster.Partition("topic", 0).Failure = failure;
        kafka.Cluster.Group("g").Failure = failure;
        kafka.Cluster.AddTopic("broken", 1);
        kafka.Cluster.Topic("broken").Failure = failure;
        kafka.Cluster.ProducerIdFailure = failure;
        TestConnection connection = kafka.Connect();

        ProduceResponse produced = await connection.CallAsync<ProduceResponse>(Messages.Produce("topic", 0, Messages.Batch("x")), 9);
        Assert.Equal(ErrorCode.KafkaStorageError, produced.Responses[0].PartitionResponses[0].ErrorCode);
        Protocol.FetchResponse fetched = await connection.CallAsync<Protocol.FetchResponse>(Messages.Fetch("topic", [(0, 0)]), 11);
        Assert.Equal(ErrorCode.KafkaStorageError, fetched.Responses[0].Partitions[0].ErrorCode);
        ListOffsetsResponse offsets = await connection.CallAsync<ListOffsetsResponse>(
            new ListOffsetsRequest { Topics = [new() { Name = "topic", Partitions = [new() { Timestamp = -1 }] }] }, 5);
        Assert.Equal(ErrorCode.KafkaStorageError, offsets.Topics[0].Partitions[0].ErrorCode);

        HeartbeatResponse heartbeat = await connection.CallAsync<HeartbeatResponse>(
            new HeartbeatRequest { GroupId = "g", MemberId = "m" }, 3);
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, heartbeat.ErrorCode);
        FindCoordinatorResponse found = await connection.CallAsync<FindCoordinatorResponse>(new FindCoordinatorRequest { Key = "g" }, 2);
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, found.ErrorCode);

        MetadataResponse metadata = await connection.CallAsync<MetadataResponse>(Messages.Metadata("broken"), 8);
        Assert.Equal(ErrorCode.LeaderNotAvailable, metadata.Topics[0].ErrorCode);
        CreateTopicsResponse created = await connection.CallAsync<CreateTopicsResponse>(
            new CreateTopicsRequest { Topics = [new() { Name = "broken", NumPartitions = 1, ReplicationFactor = 1 }] }, 5);
        Assert.Equal(ErrorCode.NotController, created.Topics[0].ErrorCode);
        InitProducerIdResponse producer = await connection.CallAsync<InitProducerIdResponse>(new InitProducerIdRequest(), 4);
        Assert.Equal(ErrorCode.CoordinatorLoadInProgress, producer.ErrorCode);
    }

    [Fact]
    public async Task Offsets_of_a_topic_that_cannot_be_read_are_the_coordinators_matter()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("broken", 1);
        kafka.Cluster.Topic("broken").Failure = new IOException("broken");
        OffsetCommitRequest.OffsetCommitRequestTopic topic = new() { Name = "broken", Partitions = [new() { CommittedOffset = 1 }] };
        OffsetCommitResponse committed = await kafka.Connect().CallAsync<OffsetCommitResponse>(
            new OffsetCommitRequest { GroupId = "g", Topics = [topic] }, 5);
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, committed.Topics[0].Partitions[0].ErrorCode);
    }

    [Fact]
    public async Task The_cause_is_logged_and_not_again_for_each_repetition()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.Group("g").Failure = new IOException("No space left on device");
        TestConnection connection = kafka.Connect();
        for (int i = 0; i < 3; i++)
            await connection.CallAsync<HeartbeatResponse>(new HeartbeatRequest { GroupId = "g", MemberId = "m" }, 3);

        Assert.Contains("Heartbeat of g failed because of the storage", Assert.Single(kafka.Complaints), StringComparison.Ordinal);
        kafka.Cluster.Group("g").Failure = new IOException("Input/output error");
        await connection.CallAsync<HeartbeatResponse>(new HeartbeatRequest { GroupId = "g", MemberId = "m" }, 3);
        kafka.Time.Advance(TimeSpan.FromSeconds(30));
        await connection.CallAsync<HeartbeatResponse>(new HeartbeatRequest { GroupId = "g", MemberId = "m" }, 3);
        Assert.Equal(3, kafka.Complaints.Length);
        Assert.EndsWith("Input/output error (2 lines like this were left out before)", kafka.Complaints[1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Failures_of_many_causes_write_a_limited_number_of_lines()
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        for (int i = 0; i < 30; i++)
        {
            kafka.Cluster.Group("g").Failure = i % 2 == 0 ? new IOException($"Disk {i}") : new InvalidOperationException($"Bug {i}");
            await connection.CallAsync<HeartbeatResponse>(new HeartbeatRequest { GroupId = "g", MemberId = "m" }, 3);
        }

        Assert.Equal(LineLimit.MaxLines, kafka.Complaints.Length);
    }

    [Fact]
    public void A_lost_connection_is_no_storage_failure_although_it_is_one_of_input_and_output()
    {
        var lost = new SiloUnavailableException("The silo is gone.", new IOException("Connection reset by peer"));
        Assert.Equal(ErrorCode.NotLeaderOrFollower, GrainFailure.ToErrorCode(lost, ApiScope.Partition));
        Assert.Equal(ErrorCode.NotLeaderOrFollower, GrainFailure.ToErrorCode(new InconsistentStateException("raced"), ApiScope.Partition));
        Assert.Equal(ErrorCode.UnknownServerError, GrainFailure.ToErrorCode(new InvalidOperationException("a bug"), ApiScope.Coordinator));
        var refused = new ArusException(ErrorCode.InvalidGroupId, "no");
        Assert.Equal(ErrorCode.InvalidGroupId, GrainFailure.ToErrorCode(refused, ApiScope.Coordinator));
    }

    private sealed class DatabaseException : DbException
    {
        public override string Message => "The database is shutting down.";
    }
}
