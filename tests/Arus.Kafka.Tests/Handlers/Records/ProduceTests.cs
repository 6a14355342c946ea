using Arus.Compression;
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
        kafka.Cluster.AddTopic("topic", 3);
        kafka.Cluster.Partition("topic", 1).Refuse = () => ErrorCode.MessageTooLarge;
        byte[] batch = Messages.Batch("x");
        ProduceResponse response = await kafka.Connect().CallAsync<ProduceResponse>(
            Messages.Produce("topic", [(0, batch), (1, batch), (9, batch), (2, [])]), 9);
        Assert.Equal(
            [(0, ErrorCode.None), (1, ErrorCode.MessageTooLarge), (9, ErrorCode.UnknownTopicOrPartition), (2, ErrorCode.InvalidRecord)],
            response.Responses[0].PartitionResponses.Select(partition => (partition.Index, partition.ErrorCode)));
        Assert.Equal("The test says so.", response.Responses[0].PartitionResponses[1].ErrorMessage);
    }

    [Fact]
    public async Task Produce_refuses_what_never_reaches_a_partition()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        TestConnection connection = kafka.Connect();
        byte[] batch = Messages.Batch("x");
        byte[] transactional = Changed(batch => batch[22] |= 0x10);
        Assert.Equal(ErrorCode.TransactionalIdAuthorizationFailed, await Error(transactional));
        Assert.Equal(ErrorCode.InvalidRecord, await Error([.. batch, .. batch]));
        Assert.Equal(ErrorCode.InvalidRecord, await Error(batch[..^1]));
        Assert.Equal(ErrorCode.InvalidRecord, await Error(Changed(batch => batch[16] = 1)));
        Assert.Equal(ErrorCode.CorruptMessage, await Error(Changed(batch => batch[16] = 9)));
        Assert.Equal(ErrorCode.InvalidRecord, await Error(batch[..^1], acks: 2));
        Assert.Equal(ErrorCode.InvalidRequiredAcks, await Error(batch, acks: 2));
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, await Error(batch, acks: 2, partition: 7));
        byte[] zstd = Messages.Batch(CompressionType.Zstd, "x");
        Assert.Equal(ErrorCode.UnsupportedCompressionType, await Error(zstd, version: 6));
        Assert.Equal(ErrorCode.UnknownServerError, await Error(Changed(batch => batch[22] |= 5), version: 6));
        Assert.Empty(kafka.Cluster.Partition("topic", 0).Appends);
        Assert.Equal(ErrorCode.None, await Error(zstd, version: 7));
        Assert.Equal(ErrorCode.None, await Error([.. batch, .. "zz"u8]));

        async Task<ErrorCode> Error(byte[] records, short acks = -1, short version = 9, int partition = 0) =>
            (await connection.CallAsync<ProduceResponse>(Messages.Produce("topic", partition, records, acks), version))
                .Responses[0].PartitionResponses[0].ErrorCode;

        static byte[] Changed(Action<byte[]> change)
        {
            byte[] batch = Messages.Batch("x");
            change(batch);
            RecordBatches.WriteCrc(batch);
            return batch;
        }
    }

    [Fact]
    public async Task Produce_with_a_transactional_id_takes_batches_that_belong_to_no_transaction()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        ProduceRequest request = Messages.Produce("topic", 0, Messages.Batch("x"));
        request.TransactionalId = "mine";
        ProduceResponse response = await kafka.Connect().CallAsync<ProduceResponse>(request, 9);
        Assert.Equal(ErrorCode.None, response.Responses[0].PartitionResponses[0].ErrorCode);
    }

    [Fact]
    public async Task Produce_appends_the_last_of_a_partitions_batches_and_answers_once()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("a", 2);
        kafka.Cluster.AddTopic("b", 1);
        byte[][] batches = [.. Enumerable.Range(0, 4).Select(i => Messages.Batch($"{i}"))];
        ProduceRequest request = Messages.Produce("a", [(0, batches[0]), (0, batches[1])]);
        request.TopicData =
        [
            .. request.TopicData, .. Messages.Produce("b", []).TopicData, .. Messages.Produce("a", [(1, batches[2])]).TopicData,
            .. Messages.Produce("a", [(0, batches[3])]).TopicData,
        ];
        ProduceResponse response = await kafka.Connect().CallAsync<ProduceResponse>(request, 9);
        ProduceResponse.TopicProduceResponse answer = Assert.Single(response.Responses);
        Assert.Equal([0, 1], answer.PartitionResponses.Select(partition => partition.Index));
        Assert.Equal(batches[3], Assert.Single(Assert.Single(kafka.Cluster.Partition("a", 0).Appends).Entries).ToArray());
        Assert.Equal(batches[2], Assert.Single(Assert.Single(kafka.Cluster.Partition("a", 1).Appends).Entries).ToArray());
    }

    [Fact]
    public async Task What_a_log_refuses_is_answered_with_its_start_as_Kafka_does()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        TestConnection connection = kafka.Connect();
        Assert.Equal((0L, 0L), (await Start(ErrorCode.InvalidRecord), await Start(ErrorCode.OutOfOrderSequenceNumber)));
        Assert.Equal((-1L, -1L), (await Start(ErrorCode.MessageTooLarge), await Start(ErrorCode.CorruptMessage)));

        async Task<long> Start(ErrorCode error)
        {
            kafka.Cluster.Partition("topic", 0).Refuse = () => error;
            ProduceResponse response = await connection.CallAsync<ProduceResponse>(Messages.Produce("topic", 0, Messages.Batch("x")), 9);
            Assert.Equal(error, response.Responses[0].PartitionResponses[0].ErrorCode);
            return response.Responses[0].PartitionResponses[0].LogStartOffset;
        }
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
    public async Task The_producers_of_a_partition_are_described()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        using var builder = new RecordBatchBuilder();
        builder.Append(1_000, null, new byte[] { 1 });
        kafka.Cluster.Partition("topic", 0).Put(
            builder.Build(new RecordBatchOptions { ProducerId = 7, ProducerEpoch = 2, BaseSequence = 0 }).Span);
        var request = new DescribeProducersRequest
        {
            Topics = [new() { Name = "topic", PartitionIndexes = [0, 9] }, new() { Name = "", PartitionIndexes = [0] }],
        };
        DescribeProducersResponse response = await kafka.Connect().CallAsync<DescribeProducersResponse>(request, 0);
        DescribeProducersResponse.PartitionResponse[] partitions = [.. response.Topics.SelectMany(topic => topic.Partitions)];
        Assert.Equal(
            [ErrorCode.None, ErrorCode.UnknownTopicOrPartition, ErrorCode.InvalidTopicException],
            partitions.Select(partition => partition.ErrorCode));
        DescribeProducersResponse.ProducerState producer = Assert.Single(partitions[0].ActiveProducers);
        Assert.Equal(
            (7, 2, 0, 1_000, -1, -1),
            (producer.ProducerId, producer.ProducerEpoch, producer.LastSequence, producer.LastTimestamp, producer.CoordinatorEpoch,
                producer.CurrentTxnStartOffset));
    }

    [Fact]
    public async Task Producer_ids_come_from_a_block()
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        InitProducerIdResponse first = await connection.CallAsync<InitProducerIdResponse>(new InitProducerIdRequest(), 4);
        InitProducerIdResponse second = await kafka.Connect().CallAsync<InitProducerIdResponse>(new InitProducerIdRequest(), 0);
        Assert.Equal((1_000_000L, 0, 1_000_001L), (first.ProducerId, (int)first.ProducerEpoch, second.ProducerId));
        Assert.Equal(1, kafka.Cluster.ProducerBlocks);
        foreach (InitProducerIdRequest half in new InitProducerIdRequest[] { new() { ProducerId = 5 }, new() { ProducerEpoch = 0 } })
        {
            InitProducerIdResponse response = await connection.CallAsync<InitProducerIdResponse>(half, 4);
            Assert.Equal((ErrorCode.InvalidRequest, -1L), (response.ErrorCode, response.ProducerId));
        }
    }
}
