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
    public async Task ListOffsets_knows_a_special_time_since_the_version_that_brought_it()
    {
        await using KafkaHarness kafka = WithTwoRecords();
        TestConnection connection = kafka.Connect();
        foreach ((long timestamp, short since, long offset) in new[]
        {
            (-1L, (short)1, 2L), (-2L, (short)1, 0L), (-3L, (short)7, 0L), (-4L, (short)8, 0L), (-5L, (short)9, -1L), (-6L, (short)11, -1L),
            (-7L, (short)12, -1L), (long.MinValue, (short)12, -1L),
        })
        {
            for (short version = 1; version <= 11; version++)
            {
                ErrorCode error = version < since ? ErrorCode.UnsupportedVersion : ErrorCode.None;
                Assert.Equal(
                    (timestamp, version, error, error == ErrorCode.None ? offset : -1),
                    Flat(timestamp, version, await ListAsync(connection, version, new() { Timestamp = timestamp })));
            }

            // Also of a topic that does not exist.
            Assert.Equal(
                since > 8 ? ErrorCode.UnsupportedVersion : ErrorCode.UnknownTopicOrPartition,
                (await ListAsync(connection, 8, new() { Timestamp = timestamp }, topic: "missing")).Error);
        }
    }

    [Fact]
    public async Task ListOffsets_refuses_isolation_levels_and_leader_epochs_that_do_not_exist()
    {
        await using KafkaHarness kafka = WithTwoRecords();
        TestConnection connection = kafka.Connect();
        foreach ((sbyte level, ErrorCode error) in new[]
        {
            ((sbyte)0, ErrorCode.None), ((sbyte)1, ErrorCode.None), ((sbyte)2, ErrorCode.UnknownServerError),
            ((sbyte)-1, ErrorCode.UnknownServerError),
        })
        {
            Assert.Equal(error, (await ListAsync(connection, 5, new() { Timestamp = -1 }, isolation: level)).Error);
        }

        Assert.Equal(
            ErrorCode.FencedLeaderEpoch, (await ListAsync(connection, 5, new() { Timestamp = -1, CurrentLeaderEpoch = -2 })).Error);
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

    private static (long, short, ErrorCode, long) Flat(long timestamp, short version, (ErrorCode Error, long Offset) found) =>
        (timestamp, version, found.Error, found.Offset);

    private static async Task<(ErrorCode Error, long Offset)> ListAsync(
        TestConnection connection, short version, ListOffsetsRequest.ListOffsetsPartition partition, string topic = "topic",
        sbyte isolation = 0)
    {
        var request = new ListOffsetsRequest { IsolationLevel = isolation, Topics = [new() { Name = topic, Partitions = [partition] }] };
        ListOffsetsResponse response = await connection.CallAsync<ListOffsetsResponse>(request, version);
        return (response.Topics[0].Partitions[0].ErrorCode, response.Topics[0].Partitions[0].Offset);
    }

    private static KafkaHarness WithTwoRecords()
    {
        var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        kafka.Cluster.Partition("topic", 0).Put(Messages.Batch("a", "b"));
        return kafka;
    }
}
