using Arus.Protocol;

namespace Arus.Kafka.Tests;

/// <summary>Elections and reassignments, as a single node answers them.</summary>
public sealed class ReassignmentTests
{
    [Theory, InlineData(0), InlineData(1)]
    public async Task Every_partition_has_the_leader_that_it_can_have(sbyte type)
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        TestConnection connection = kafka.Connect();
        ElectLeadersResponse response = await connection.CallAsync<ElectLeadersResponse>(
            new ElectLeadersRequest
            {
                ElectionType = type,
                TopicPartitions = [new() { Topic = "topic", Partitions = [0, 9] }, new() { Topic = "no", Partitions = [0] }],
            }, 2);
        Assert.Equal(ErrorCode.None, response.ErrorCode);
        Assert.Equal(
            [ErrorCode.ElectionNotNeeded, ErrorCode.UnknownTopicOrPartition, ErrorCode.UnknownTopicOrPartition],
            response.ReplicaElectionResults.SelectMany(topic => topic.PartitionResult).Select(result => result.ErrorCode));

        // Of all, only those are told that needed one.
        response = await connection.CallAsync<ElectLeadersResponse>(
            new ElectLeadersRequest { ElectionType = type, TopicPartitions = null }, 2);
        Assert.Empty(response.ReplicaElectionResults);
    }

    [Theory, InlineData(1), InlineData(2)]
    public async Task An_election_of_an_unknown_type_is_refused_for_every_partition(short version)
    {
        await using var kafka = new KafkaHarness();
        ElectLeadersResponse response = await kafka.Connect().CallAsync<ElectLeadersResponse>(
            new ElectLeadersRequest { ElectionType = 2, TopicPartitions = [new() { Topic = "topic", Partitions = [0, 9] }] }, version);
        Assert.Equal(ErrorCode.InvalidRequest, response.ErrorCode);
        Assert.Equal(
            [(0, ErrorCode.InvalidRequest), (9, ErrorCode.InvalidRequest)],
            Assert.Single(response.ReplicaElectionResults).PartitionResult.Select(result => (result.PartitionId, result.ErrorCode)));
        Assert.Contains("type 2", response.ReplicaElectionResults[0].PartitionResult[0].ErrorMessage);
    }

    [Theory]
    [InlineData("topic", 0, new[] { 1 }, ErrorCode.None)]
    [InlineData("topic", 0, new[] { 4242 }, ErrorCode.InvalidReplicaAssignment)]
    [InlineData("topic", 0, new[] { -1 }, ErrorCode.InvalidReplicaAssignment)]
    [InlineData("topic", 0, new[] { 1, 1 }, ErrorCode.InvalidReplicaAssignment)]
    [InlineData("topic", 0, new int[0], ErrorCode.InvalidReplicaAssignment)]
    [InlineData("topic", 0, null, ErrorCode.NoReassignmentInProgress)]
    [InlineData("topic", 9, new[] { 1 }, ErrorCode.UnknownTopicOrPartition)]
    [InlineData("topic", -1, new[] { 1 }, ErrorCode.UnknownTopicOrPartition)]
    [InlineData("no", 0, new[] { 1 }, ErrorCode.UnknownTopicOrPartition)]
    [InlineData("no/such", 0, null, ErrorCode.UnknownTopicOrPartition)]
    public async Task A_reassignment_is_checked(string topic, int partition, int[]? replicas, ErrorCode expected)
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        TestConnection connection = kafka.Connect();
        AlterPartitionReassignmentsResponse response = await connection.CallAsync<AlterPartitionReassignmentsResponse>(
            new AlterPartitionReassignmentsRequest
            {
                Topics = [new() { Name = topic, Partitions = [new() { PartitionIndex = partition, Replicas = replicas }] }],
            }, 1);
        AlterPartitionReassignmentsResponse.ReassignablePartitionResponse result = response.Responses[0].Partitions[0];
        Assert.Equal((ErrorCode.None, expected), (response.ErrorCode, result.ErrorCode));
        Assert.Equal(expected == ErrorCode.None, result.ErrorMessage is null);
        Assert.Empty((await connection.CallAsync<ListPartitionReassignmentsResponse>(
            new ListPartitionReassignmentsRequest { Topics = null }, 0)).Topics);
    }

    [Fact]
    public async Task Another_number_of_replicas_may_be_ruled_out()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        AlterPartitionReassignmentsResponse response = await kafka.Connect().CallAsync<AlterPartitionReassignmentsResponse>(
            new AlterPartitionReassignmentsRequest
            {
                AllowReplicationFactorChange = false,
                Topics = [new() { Name = "topic", Partitions = [new() { Replicas = [1, 2] }, new() { Replicas = [1] }] }],
            }, 1);
        Assert.Equal(
            [ErrorCode.InvalidReplicationFactor, ErrorCode.InvalidRequest],
            response.Responses[0].Partitions.Select(partition => partition.ErrorCode));
    }
}
