using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;
using FetchRequest = Arus.Protocol.FetchRequest;
using FetchResponse = Arus.Protocol.FetchResponse;

namespace Arus.Kafka.Tests;

/// <summary>Transactions as producers and readers of a partition see them.</summary>
public sealed class TransactionTests
{
    [Fact]
    public async Task Readers_of_committed_records_wait_for_the_end_of_a_transaction_and_are_told_that_it_was_aborted()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        TestConnection connection = kafka.Connect();
        Assert.Equal(ErrorCode.None, await ProduceAsync(connection, 9, Messages.Transactional(7, 2, 0, "a")));
        FetchResponse.PartitionData open = await FetchAsync(connection, maxWaitMs: 0);
        Assert.Equal((0, 1L, 0L), (open.Records.Length, open.HighWatermark, open.LastStableOffset));
        Assert.Equal((0L, 1L), (await LatestAsync(connection, committed: true), await LatestAsync(connection, committed: false)));
        DescribeProducersResponse.ProducerState producer = await DescribeAsync(connection);
        Assert.Equal((7L, 0L, -1), (producer.ProducerId, producer.CurrentTxnStartOffset, producer.CoordinatorEpoch));

        TestConnection reader = kafka.Connect();
        await reader.SendAsync(Fetch(maxWaitMs: 500), 11);
        await kafka.Cluster.Partition("topic", 0).WhenAsync(partition => partition.RunningWaits == 1);
        Assert.Equal(ErrorCode.InvalidProducerEpoch, await EndAsync(connection, epoch: 1));
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, await EndAsync(connection, epoch: 2, partition: 1));
        Assert.Equal(ErrorCode.None, await EndAsync(connection, epoch: 2));
        (_, FetchResponse response) = await reader.ReceiveAsync<FetchResponse>(11);
        FetchResponse.PartitionData ended = response.Responses.Single().Partitions.Single();
        Assert.Equal((2L, 2L), (ended.HighWatermark, ended.LastStableOffset));
        Assert.Equal([(7L, 0L)], ended.AbortedTransactions!.Select(aborted => (aborted.ProducerId, aborted.FirstOffset)));
        Assert.NotEqual(0, ended.Records.Length);
        Assert.Empty((await FetchAsync(connection, maxWaitMs: 0, offset: 2)).AbortedTransactions!);
        Assert.Equal(2L, await LatestAsync(connection, committed: true));
        producer = await DescribeAsync(connection);
        Assert.Equal((-1L, 5), (producer.CurrentTxnStartOffset, producer.CoordinatorEpoch));
        Assert.Equal(ErrorCode.TransactionCoordinatorFenced, await EndAsync(connection, epoch: 2, coordinatorEpoch: 4));
    }

    [Fact]
    public async Task Each_version_of_produce_says_what_its_producer_does_for_a_transaction()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        var asked = new List<AppendTransaction>();
        kafka.Cluster.Partition("topic", 0).Verify = transaction =>
        {
            asked.Add(transaction);
            return Task.FromResult(ErrorCode.TransactionAbortable);
        };
        TestConnection connection = kafka.Connect();
        foreach (short version in new short[] { 9, 10, 11, 12 })
            Assert.Equal(ErrorCode.TransactionAbortable, await ProduceAsync(connection, version, Messages.Transactional(7, 0, 0, "a")));

        Assert.Equal(
            [TransactionSupport.Verified, TransactionSupport.Verified, TransactionSupport.Abortable, TransactionSupport.Added],
            asked.Select(transaction => transaction.Support));
        Assert.All(asked, transaction => Assert.Equal("mine", transaction.TransactionalId));
        Assert.Equal(0, kafka.Cluster.Partition("topic", 0).EndOffset);
    }

    [Fact]
    public async Task A_producer_whose_transaction_is_being_verified_holds_up_no_other()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        var verdict = new TaskCompletionSource<ErrorCode>();
        kafka.Cluster.Partition("topic", 0).Verify = _ => verdict.Task;
        TestConnection transactional = kafka.Connect();
        await transactional.SendAsync(Produce(Messages.Transactional(7, 0, 0, "a")), 9);
        await kafka.Cluster.Partition("topic", 0).WhenAsync(partition => partition.Appends.Count == 1);
        ProduceResponse other = await kafka.Connect().CallAsync<ProduceResponse>(Messages.Produce("topic", 0, Messages.Batch("x")), 9);
        Assert.Equal(0, other.Responses[0].PartitionResponses[0].BaseOffset);
        verdict.SetResult(ErrorCode.None);
        (_, ProduceResponse response) = await transactional.ReceiveAsync<ProduceResponse>(9);
        Assert.Equal((ErrorCode.None, 1L), (response.Responses[0].PartitionResponses[0].ErrorCode,
            response.Responses[0].PartitionResponses[0].BaseOffset));
    }

    private static ProduceRequest Produce(byte[] batch)
    {
        ProduceRequest request = Messages.Produce("topic", 0, batch);
        request.TransactionalId = "mine";
        return request;
    }

    private static async Task<ErrorCode> ProduceAsync(TestConnection connection, short version, byte[] batch) =>
        (await connection.CallAsync<ProduceResponse>(Produce(batch), version)).Responses[0].PartitionResponses[0].ErrorCode;

    private static FetchRequest Fetch(int maxWaitMs, long offset = 0)
    {
        FetchRequest request = Messages.Fetch("topic", [(0, offset)], maxWaitMs);
        request.IsolationLevel = (sbyte)IsolationLevel.ReadCommitted;
        return request;
    }

    private static async Task<FetchResponse.PartitionData> FetchAsync(TestConnection connection, int maxWaitMs, long offset = 0) =>
        (await connection.CallAsync<FetchResponse>(Fetch(maxWaitMs, offset), 11)).Responses.Single().Partitions.Single();

    private static async Task<long> LatestAsync(TestConnection connection, bool committed)
    {
        var request = new ListOffsetsRequest
        {
            IsolationLevel = (sbyte)(committed ? IsolationLevel.ReadCommitted : IsolationLevel.ReadUncommitted),
            Topics =
            [
                new() { Name = "topic", Partitions = [new() { PartitionIndex = 0, Timestamp = -1, CurrentLeaderEpoch = -1 }] },
            ],
        };
        return (await connection.CallAsync<ListOffsetsResponse>(request, 5)).Topics.Single().Partitions.Single().Offset;
    }

    private static async Task<DescribeProducersResponse.ProducerState> DescribeAsync(TestConnection connection)
    {
        var request = new DescribeProducersRequest { Topics = [new() { Name = "topic", PartitionIndexes = [0] }] };
        DescribeProducersResponse response = await connection.CallAsync<DescribeProducersResponse>(request, 0);
        return response.Topics.Single().Partitions.Single().ActiveProducers.Single();
    }

    private static async Task<ErrorCode> EndAsync(TestConnection connection, short epoch, int coordinatorEpoch = 5, int partition = 0)
    {
        var request = new WriteTxnMarkersRequest
        {
            Markers =
            [
                new()
                {
                    ProducerId = 7,
                    ProducerEpoch = epoch,
                    CoordinatorEpoch = coordinatorEpoch,
                    Topics = [new() { Name = "topic", PartitionIndexes = [partition] }],
                },
            ],
        };
        WriteTxnMarkersResponse response = await connection.CallAsync<WriteTxnMarkersResponse>(request, 1);
        return response.Markers.Single().Topics.Single().Partitions.Single().ErrorCode;
    }
}
