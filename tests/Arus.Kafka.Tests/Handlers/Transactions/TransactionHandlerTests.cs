using Arus.Coordination;
using Arus.Protocol;
using Arus.Testing;
using PartitionResult = Arus.Protocol.AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult;

namespace Arus.Kafka.Tests;

/// <summary>The APIs of transactions over the coordinator's real state machine.</summary>
public sealed class TransactionHandlerTests : IAsyncDisposable
{
    private readonly KafkaHarness _kafka = new();
    private readonly TestConnection _connection;

    public TransactionHandlerTests()
    {
        _kafka.Cluster.AddTopic("topic", 2);
        _connection = _kafka.Connect();
    }

    private InMemoryTransaction Transaction => _kafka.Cluster.Transaction("tx");

    public ValueTask DisposeAsync() => _kafka.DisposeAsync();

    [Fact]
    public async Task A_transaction_of_version_1_is_begun_committed_and_its_end_repeated()
    {
        InitProducerIdResponse producer = await InitAsync();
        Assert.Equal((ErrorCode.None, 1_000_000L, (short)0), (producer.ErrorCode, producer.ProducerId, producer.ProducerEpoch));
        Assert.All(await AddAsync(producer, ("topic", 0), ("topic", 1)), error => Assert.Equal(ErrorCode.None, error));
        Assert.Equal(ErrorCode.None, await AddOffsetsAsync(producer, "group"));
        Assert.Equal(TransactionState.Ongoing, Transaction.State);

        Assert.Equal(ErrorCode.None, (await EndAsync(producer, commit: true, 4)).ErrorCode);
        Assert.Equal(TransactionState.CompleteCommit, Transaction.State);
        Guid id = _kafka.Cluster.Topic("topic").Description!.Id;
        Assert.Equal(
            [new("topic", 0, id), new("topic", 1, id), TransactionParticipant.Group("group")],
            Transaction.Markers.Select(marker => marker.Participant));
        Assert.Equal(ErrorCode.None, (await EndAsync(producer, commit: true, 4)).ErrorCode);
        Assert.Equal(ErrorCode.InvalidTxnState, (await EndAsync(producer, commit: false, 4)).ErrorCode);
    }

    [Fact]
    public async Task The_end_of_a_transaction_of_version_2_raises_the_epoch()
    {
        InitProducerIdResponse producer = await InitAsync();
        await AddAsync(producer, ("topic", 0));
        EndTxnResponse end = await EndAsync(producer, commit: true, 5);
        Assert.Equal((ErrorCode.None, 1_000_000L, (short)1), (end.ErrorCode, end.ProducerId, end.ProducerEpoch));
        Assert.Equal(((short)1, (short)2), (Transaction.Markers[0].ProducerEpoch, Transaction.Markers[0].TransactionVersion));
        EndTxnResponse refused = await EndAsync(producer, commit: false, 5);
        Assert.Equal((ErrorCode.InvalidTxnState, -1L, (short)-1), (refused.ErrorCode, refused.ProducerId, refused.ProducerEpoch));
    }

    [Theory]
    [InlineData(1, ErrorCode.InvalidProducerEpoch)]
    [InlineData(2, ErrorCode.ProducerFenced)]
    public async Task A_fenced_producer_is_told_so_as_its_version_knows(short version, ErrorCode expected)
    {
        InitProducerIdResponse old = await InitAsync();
        await InitAsync();
        Assert.Equal([expected], await AddAsync(old, version, ("topic", 0)));
        Assert.Equal(expected, await AddOffsetsAsync(old, "group", version));
        Assert.Equal(expected, (await EndAsync(old, commit: true, version)).ErrorCode);
        InitProducerIdResponse again = await InitAsync((short)(version + 2), old);
        Assert.Equal((expected, -1L, (short)-1), (again.ErrorCode, again.ProducerId, again.ProducerEpoch));
    }

    [Fact]
    public async Task Partitions_that_are_not_there_keep_all_of_a_request_out()
    {
        InitProducerIdResponse producer = await InitAsync();
        Assert.Equal(
            [ErrorCode.OperationNotAttempted, ErrorCode.UnknownTopicOrPartition, ErrorCode.UnknownTopicOrPartition],
            await AddAsync(producer, ("topic", 0), ("topic", 2), ("none", 0)));
        Assert.Equal(TransactionState.Empty, Transaction.State);
    }

    [Theory]
    [InlineData(4, ErrorCode.InvalidTxnState)]
    [InlineData(5, ErrorCode.TransactionAbortable)]
    public async Task Brokers_ask_for_many_transactions_and_verify_without_a_change(short version, ErrorCode expected)
    {
        InitProducerIdResponse producer = await InitAsync();
        AddPartitionsToTxnRequest.AddPartitionsToTxnTransaction Asked(int partition, bool verify, string id = "tx") => new()
        {
            TransactionalId = id, ProducerId = producer.ProducerId, ProducerEpoch = producer.ProducerEpoch, VerifyOnly = verify,
            Topics = [new() { Name = "topic", Partitions = [partition] }],
        };
        AddPartitionsToTxnResponse response = await _connection.CallAsync<AddPartitionsToTxnResponse>(
            new AddPartitionsToTxnRequest { Transactions = [Asked(0, verify: false)] }, version);
        Assert.Equal([ErrorCode.None], Errors(response.ResultsByTransaction[0].TopicResults));

        response = await _connection.CallAsync<AddPartitionsToTxnResponse>(
            new AddPartitionsToTxnRequest { Transactions = [Asked(0, true), Asked(1, true), Asked(0, true, "other"), Asked(0, true, "")] },
            version);
        Assert.Equal(["tx", "tx", "other", ""], response.ResultsByTransaction.Select(result => result.TransactionalId));
        Assert.Equal(
            [ErrorCode.None, expected, ErrorCode.InvalidProducerIdMapping, ErrorCode.InvalidRequest],
            response.ResultsByTransaction.Select(result => Errors(result.TopicResults)[0]));
        Assert.Empty(Transaction.Markers);
    }

    [Fact]
    public async Task A_coordinator_that_cannot_be_reached_is_looked_up_again()
    {
        InitProducerIdResponse producer = await InitAsync();
        Transaction.Failure = new TimeoutException();
        Assert.Equal([ErrorCode.CoordinatorNotAvailable], await AddAsync(producer, ("topic", 0)));
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, (await EndAsync(producer, commit: true, 5)).ErrorCode);
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, await AddOffsetsAsync(producer, "group"));
        Assert.Equal(ErrorCode.CoordinatorLoadInProgress, (await InitAsync()).ErrorCode);
        Transaction.Failure = new ArusException(ErrorCode.NotCoordinator, "moved");
        Assert.Equal(ErrorCode.NotCoordinator, (await InitAsync()).ErrorCode);
        Assert.Equal([ErrorCode.NotCoordinator], await AddAsync(producer, ("topic", 0)));
    }

    [Fact]
    public async Task An_empty_transactional_id_is_refused()
    {
        Assert.Equal(ErrorCode.InvalidRequest, (await _connection.CallAsync<InitProducerIdResponse>(
            new InitProducerIdRequest { TransactionalId = "", TransactionTimeoutMs = 1_000 }, 4)).ErrorCode);
        Assert.Equal(ErrorCode.InvalidRequest, (await _connection.CallAsync<EndTxnResponse>(new EndTxnRequest(), 3)).ErrorCode);
        Assert.Equal(
            ErrorCode.InvalidRequest, (await _connection.CallAsync<AddOffsetsToTxnResponse>(new AddOffsetsToTxnRequest(), 3)).ErrorCode);
    }

    [Fact]
    public async Task FindCoordinator_names_the_broker_of_a_transactional_id()
    {
        Transaction.BrokerId = 2;
        FindCoordinatorResponse found = await _connection.CallAsync<FindCoordinatorResponse>(
            new FindCoordinatorRequest { KeyType = 1, CoordinatorKeys = ["tx", "\t"] }, 4);
        Assert.Equal([(2, "two.example"), (1, "one.example")], found.Coordinators.Select(one => (one.NodeId, one.Host)));
    }

    [Fact]
    public async Task Transactional_ids_are_described()
    {
        InitProducerIdResponse producer = await InitAsync();
        await AddAsync(producer, ("topic", 1));
        DescribeTransactionsResponse response = await _connection.CallAsync<DescribeTransactionsResponse>(
            new DescribeTransactionsRequest { TransactionalIds = ["tx", "none", ""] }, 0);
        Assert.Equal(
            [ErrorCode.None, ErrorCode.TransactionalIdNotFound, ErrorCode.InvalidRequest],
            response.TransactionStates.Select(state => state.ErrorCode));
        DescribeTransactionsResponse.DescribedTransaction described = response.TransactionStates[0];
        Assert.Equal(
            ("tx", "Ongoing", 60_000, producer.ProducerId),
            (described.TransactionalId, described.TransactionState, described.TransactionTimeoutMs, described.ProducerId));
        Assert.Equal([1], Assert.Single(described.Topics).Partitions);
    }

    [Fact]
    public async Task Transactional_ids_are_listed_by_the_broker_that_coordinates_them_and_filtered()
    {
        InitProducerIdResponse producer = await InitAsync();
        await AddAsync(producer, ("topic", 1));
        await InitAsync(id: "idle");
        await InitAsync(id: "elsewhere");
        _kafka.Cluster.Transaction("elsewhere").BrokerId = 2;
        _kafka.Cluster.Transaction("never");
        _kafka.Time.Advance(TimeSpan.FromSeconds(10));

        Assert.Equal(["idle Empty", "tx Ongoing"], await ListAsync(new ListTransactionsRequest()));
        Assert.Equal(["tx Ongoing"], await ListAsync(new() { StateFilters = ["Ongoing", "PrepareCommit"] }));
        Assert.Equal(["tx Ongoing"], await ListAsync(new() { ProducerIdFilters = [producer.ProducerId, 7] }));
        Assert.Equal(["idle Empty"], await ListAsync(new() { DurationFilter = 10_000 }));
        Assert.Equal(["tx Ongoing"], await ListAsync(new() { TransactionalIdPattern = "t.|no" }));
        Assert.Equal(["idle Empty", "tx Ongoing"], await ListAsync(new() { TransactionalIdPattern = "" }));

        var unknown = new ListTransactionsRequest { StateFilters = ["Onging"] };
        Assert.Empty(await ListAsync(unknown));
        ListTransactionsResponse response = await _connection.CallAsync<ListTransactionsResponse>(unknown, 2);
        Assert.Equal(["Onging"], response.UnknownStateFilters);
        response = await _connection.CallAsync<ListTransactionsResponse>(new ListTransactionsRequest { TransactionalIdPattern = "(" }, 2);
        Assert.Equal(ErrorCode.InvalidRegularExpression, response.ErrorCode);
    }

    private async Task<string[]> ListAsync(ListTransactionsRequest request)
    {
        ListTransactionsResponse response = await _connection.CallAsync<ListTransactionsResponse>(request, 2);
        Assert.Equal(ErrorCode.None, response.ErrorCode);
        return [.. response.TransactionStates.Select(one => $"{one.TransactionalId} {one.TransactionState}")];
    }

    private Task<InitProducerIdResponse> InitAsync(short version = 4, InitProducerIdResponse? continued = null, string id = "tx") =>
        _connection.CallAsync<InitProducerIdResponse>(
            new InitProducerIdRequest
            {
                TransactionalId = id, TransactionTimeoutMs = 60_000,
                ProducerId = continued?.ProducerId ?? -1, ProducerEpoch = continued?.ProducerEpoch ?? -1,
            },
            version);

    private Task<ErrorCode[]> AddAsync(InitProducerIdResponse producer, params (string Topic, int Partition)[] partitions) =>
        AddAsync(producer, 3, partitions);

    private async Task<ErrorCode[]> AddAsync(
        InitProducerIdResponse producer, short version, params (string Topic, int Partition)[] partitions)
    {
        var request = new AddPartitionsToTxnRequest
        {
            V3AndBelowTransactionalId = "tx",
            V3AndBelowProducerId = producer.ProducerId,
            V3AndBelowProducerEpoch = producer.ProducerEpoch,
            V3AndBelowTopics = [.. partitions.GroupBy(partition => partition.Topic).Select(
                topic => new AddPartitionsToTxnRequest.AddPartitionsToTxnTopic
                {
                    Name = topic.Key, Partitions = [.. topic.Select(partition => partition.Partition)],
                })],
        };
        return Errors((await _connection.CallAsync<AddPartitionsToTxnResponse>(request, version)).ResultsByTopicV3AndBelow);
    }

    private async Task<ErrorCode> AddOffsetsAsync(InitProducerIdResponse producer, string group, short version = 3) =>
        (await _connection.CallAsync<AddOffsetsToTxnResponse>(
            new AddOffsetsToTxnRequest
            {
                TransactionalId = "tx", ProducerId = producer.ProducerId, ProducerEpoch = producer.ProducerEpoch, GroupId = group,
            },
            version)).ErrorCode;

    private Task<EndTxnResponse> EndAsync(InitProducerIdResponse producer, bool commit, short version) =>
        _connection.CallAsync<EndTxnResponse>(
            new EndTxnRequest
            {
                TransactionalId = "tx", ProducerId = producer.ProducerId, ProducerEpoch = producer.ProducerEpoch, Committed = commit,
            },
            version);

    private static ErrorCode[] Errors(PartitionResult[] topics) =>
        [.. topics.SelectMany(topic => topic.ResultsByPartition).Select(partition => partition.PartitionErrorCode)];
}
