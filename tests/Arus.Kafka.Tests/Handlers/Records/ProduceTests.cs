using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka.Tests;

/// <summary>Produce and InitProducerId.</summary>
public sealed class ProduceTests
{
    [Fact]
    public async Task Produce_answers_each_partition_by_itself()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        kafka.Cluster.Partition("topic", 1).Refuse = () => ErrorCode.MessageTooLarge;
        byte[] batch = Messages.Batch("x");
        ProduceResponse response = await kafka.Connect().CallAsync<ProduceResponse>(
            Messages.Produce("topic", [(0, batch), (1, batch), (9, batch), (0, [])]), 9);
        Assert.Equal(
            [(0, ErrorCode.None), (1, ErrorCode.MessageTooLarge), (9, ErrorCode.UnknownTopicOrPartition), (0, ErrorCode.InvalidRecord)],
            response.Responses[0].PartitionResponses.Select(partition => (partition.Index, partition.ErrorCode)));
        Assert.Equal("The test says so.", response.Responses[0].PartitionResponses[1].ErrorMessage);
    }

    [Fact]
    public async Task Produce_refuses_transactions_and_odd_acks()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        TestConnection connection = kafka.Connect();
        ProduceRequest transactional = Messages.Produce("topic", 0, Messages.Batch("x"));
        transactional.TransactionalId = "mine";
        Assert.Equal(ErrorCode.TransactionalIdAuthorizationFailed, await Error(transactional));
        Assert.Equal(ErrorCode.InvalidRequiredAcks, await Error(Messages.Produce("topic", 0, Messages.Batch("x"), acks: 2)));
        Assert.Empty(kafka.Cluster.Partition("topic", 0).Appends);

        async Task<ErrorCode> Error(ProduceRequest request) =>
            (await connection.CallAsync<ProduceResponse>(request, 9)).Responses[0].PartitionResponses[0].ErrorCode;
    }

    [Fact]
    public async Task What_is_known_of_a_topic_is_dropped_when_a_partition_says_otherwise()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        TestConnection connection = kafka.Connect();
        for (int i = 0; i < 3; i++)
            await connection.CallAsync<ProduceResponse>(Messages.Produce("topic", 0, Messages.Batch("x")), 9);

        Assert.Equal(1, kafka.Cluster.Topic("topic").Describes);
        kafka.Cluster.Partition("topic", 0).Refuse = () => ErrorCode.NotLeaderOrFollower;
        ProduceResponse moved = await connection.CallAsync<ProduceResponse>(Messages.Produce("topic", 0, Messages.Batch("x")), 9);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, moved.Responses[0].PartitionResponses[0].ErrorCode);
        kafka.Cluster.Partition("topic", 0).Refuse = null;
        await connection.CallAsync<ProduceResponse>(Messages.Produce("topic", 0, Messages.Batch("x")), 9);
        Assert.Equal(2, kafka.Cluster.Topic("topic").Describes);
    }

    [Fact]
    public async Task Producer_ids_come_from_a_block_and_transactional_ids_are_refused()
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        InitProducerIdResponse first = await connection.CallAsync<InitProducerIdResponse>(new InitProducerIdRequest(), 4);
        InitProducerIdResponse second = await kafka.Connect().CallAsync<InitProducerIdResponse>(new InitProducerIdRequest(), 0);
        Assert.Equal((1_000_000L, 0, 1_000_001L), (first.ProducerId, (int)first.ProducerEpoch, second.ProducerId));
        Assert.Equal(1, kafka.Cluster.ProducerBlocks);
        InitProducerIdResponse refused = await connection.CallAsync<InitProducerIdResponse>(
            new InitProducerIdRequest { TransactionalId = "t" }, 4);
        Assert.Equal(ErrorCode.TransactionalIdAuthorizationFailed, refused.ErrorCode);
    }
}
