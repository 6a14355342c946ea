using Arus.Protocol;

namespace Arus.Kafka.Tests;

/// <summary>ListOffsets, DeleteRecords and OffsetForLeaderEpoch.</summary>
public sealed class OffsetTests
{
    [Fact]
    public async Task ListOffsets_finds_the_ends_of_a_partition_and_refuses_one_that_does_not_exist()
    {
        await using KafkaHarness kafka = WithTwoRecords();
        TestConnection connection = kafka.Connect();
        foreach ((int partition, long timestamp, ErrorCode error, long offset) in new[]
        {
            (0, -1L, ErrorCode.None, 2L), (0, -2L, ErrorCode.None, 0L), (4, 0L, ErrorCode.UnknownTopicOrPartition, -1L),
        })
        {
            ListOffsetsResponse response = await connection.CallAsync<ListOffsetsResponse>(
                new ListOffsetsRequest
                {
                    Topics = [new() { Name = "topic", Partitions = [new() { PartitionIndex = partition, Timestamp = timestamp }] }],
                },
                5);
            Assert.Equal(
                (error, offset), response.Topics[0].Partitions.Select(found => (found.ErrorCode, found.Offset)).Single());
        }
    }

    [Fact]
    public async Task DeleteRecords_answers_the_new_start()
    {
        await using KafkaHarness kafka = WithTwoRecords();
        Protocol.DeleteRecordsResponse response = await kafka.Connect().CallAsync<Protocol.DeleteRecordsResponse>(
            new DeleteRecordsRequest { Topics = [new() { Name = "topic", Partitions = [new() { PartitionIndex = 0, Offset = 1 }] }] }, 2);
        Assert.Equal(1, response.Topics[0].Partitions[0].LowWatermark);
    }

    [Fact]
    public async Task OffsetForLeaderEpoch_answers_the_end_of_an_epoch()
    {
        await using KafkaHarness kafka = WithTwoRecords();
        var request = new OffsetForLeaderEpochRequest
        {
            Topics = [new() { Topic = "topic", Partitions = [new() { Partition = 0, LeaderEpoch = 5 }] }],
        };
        OffsetForLeaderEpochResponse response = await kafka.Connect().CallAsync<OffsetForLeaderEpochResponse>(request, 3);
        Assert.Equal((5, 2L), (response.Topics[0].Partitions[0].LeaderEpoch, response.Topics[0].Partitions[0].EndOffset));
    }

    private static KafkaHarness WithTwoRecords()
    {
        var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        kafka.Cluster.Partition("topic", 0).Put(Messages.Batch("a", "b"));
        return kafka;
    }
}
