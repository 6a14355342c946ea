using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Arus.Client.Tests;

/// <summary>What a producer with a transactional id appends.</summary>
public sealed class ProducerTransactionTests
{
    private static readonly ProducerOptions Transactional = new()
    {
        TransactionalId = "tx", Linger = TimeSpan.Zero, RetryBackoff = TimeSpan.Zero, RetryBackoffMax = TimeSpan.Zero,
    };

    private readonly FakeCluster _cluster = new();
    private readonly List<bool> _ends = [];
    private readonly InMemoryPartition _partition;
    private readonly ArusClient _client;
    private short _epoch = 3;

    public ProducerTransactionTests()
    {
        _cluster.AddTopic("t", 1);
        _partition = _cluster.Partition("t", 0);
        ITransactionGrain coordinator = Fake.Of<ITransactionGrain>((method, arguments) => method.Name switch
        {
            nameof(ITransactionGrain.InitProducerIdAsync) =>
                Task.FromResult(new InitProducerIdResponse { ProducerId = 7, ProducerEpoch = _epoch }),
            nameof(ITransactionGrain.EndAsync) => EndAsync((EndTxnRequest)arguments[0]!),
            _ => throw new NotSupportedException(method.Name),
        });
        IGrainFactory grains = Fake.Of<IGrainFactory>((method, arguments) =>
            method.GetGenericArguments()[0] == typeof(ITransactionGrain) ? coordinator : method.Invoke(_cluster.Grains, arguments)!);
        var options = new ArusClientOptions();
        _client = new ArusClient(
            grains, _cluster.Losses, new GrainRetry(options, _cluster.Losses, TimeProvider.System), _cluster.Client.Admin, options,
            TimeProvider.System, NullLoggerFactory.Instance, (_, _, _) => throw new NotSupportedException());
    }

    [Fact]
    public async Task Each_transaction_has_its_epoch_and_sequences_from_zero()
    {
        await using IProducer<string, string> producer = await CreateAsync();
        for (int transaction = 0; transaction < 2; transaction++)
        {
            producer.BeginTransaction();
            for (int i = 0; i < 2; i++)
                await producer.ProduceAsync(new("t", "k", $"{transaction}-{i}"));

            await producer.CommitTransactionAsync();
        }

        Assert.Equal([(true, 3, 0), (true, 3, 1), (true, 4, 0), (true, 4, 1)], Sent());
        Assert.All(
            _partition.Appends, append => Assert.Equal(new AppendTransaction("tx", TransactionSupport.Added), append.Transaction));
        Assert.Equal([true, true], _ends);
    }

    [Fact]
    public async Task A_batch_whose_answer_was_lost_is_there_once()
    {
        int failures = 0;
        _partition.FailAfter = _ => failures++ == 0 ? new TimeoutException("no answer") : null;
        await using IProducer<string, string> producer = await CreateAsync();
        producer.BeginTransaction();
        Assert.Equal(0, (await producer.ProduceAsync(new("t", "k", "v"))).Offset);
        Assert.Equal(["v"], _partition.Records().Select(record => record.Value));
        Assert.Equal(2, _partition.Appends.Count);
        await producer.CommitTransactionAsync();
    }

    [Theory]
    [InlineData(ErrorCode.InvalidRecord)]
    [InlineData(ErrorCode.OutOfOrderSequenceNumber)]
    [InlineData(ErrorCode.InvalidProducerEpoch)]
    [InlineData(ErrorCode.TransactionAbortable)]
    public async Task After_a_refusal_the_transaction_is_aborted_and_the_next_begins_anew(ErrorCode refusal)
    {
        await using IProducer<string, string> producer = await CreateAsync();
        producer.BeginTransaction();
        await producer.ProduceAsync(new("t", "k", "before"));
        _partition.Refuse = () => refusal;
        ProduceException refused = await Assert.ThrowsAsync<ProduceException>(() => producer.ProduceAsync(new("t", "k", "refused")));
        Assert.Equal(refusal, refused.Code);
        await Assert.ThrowsAsync<TransactionAbortableException>(() => producer.ProduceAsync(new("t", "k", "after")));
        await Assert.ThrowsAsync<TransactionAbortableException>(() => producer.CommitTransactionAsync());

        _partition.Refuse = null;
        await producer.AbortTransactionAsync();
        producer.BeginTransaction();
        await producer.ProduceAsync(new("t", "k", "next"));
        await producer.CommitTransactionAsync();
        Assert.Equal([false, true], _ends);
        Assert.Equal((true, 4, 0), Sent()[^1]);
    }

    [Fact]
    public async Task Nothing_is_produced_outside_of_a_transaction()
    {
        await using IProducer<string, string> producer = _client.CreateProducer<string, string>(Transactional);
        await Assert.ThrowsAsync<InvalidOperationException>(() => producer.ProduceAsync(new("t", "k", "v")));
        await producer.InitTransactionsAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => producer.ProduceAsync(new("t", "k", "v")));
        await using IProducer<string, string> plain =
            _client.CreateProducer<string, string>(Transactional with { TransactionalId = null });
        await Assert.ThrowsAsync<InvalidOperationException>(() => plain.InitTransactionsAsync());
        Assert.Empty(_partition.Appends);
    }

    [Fact]
    public async Task To_dispose_a_producer_aborts_its_transaction()
    {
        IProducer<string, string> producer = await CreateAsync();
        producer.BeginTransaction();
        await producer.ProduceAsync(new("t", "k", "v"));
        await producer.DisposeAsync();
        Assert.Equal([false], _ends);
    }

    [Theory]
    [InlineData("")]
    [InlineData("tx", Acks.Leader)]
    public void The_transactional_id_is_not_empty_and_goes_with_idempotence(string id, Acks acks = Acks.All) =>
        Assert.Throws<ArgumentException>(
            () => _client.CreateProducer<string, string>(Transactional with { TransactionalId = id, Acks = acks }));

    private async Task<IProducer<string, string>> CreateAsync()
    {
        IProducer<string, string> producer = _client.CreateProducer<string, string>(Transactional);
        await producer.InitTransactionsAsync();
        return producer;
    }

    /// <summary>Of each batch that was sent, whether it is transactional, its epoch and its first sequence.</summary>
    private (bool, int, int)[] Sent() =>
    [
        .. _partition.Appends.SelectMany(append => append.Entries).Select(batch =>
        {
            var header = new RecordBatchHeader(batch.Span);
            return (header.IsTransactional, (int)header.ProducerEpoch, header.BaseSequence);
        }),
    ];

    /// <summary>Ends it in the only partition, as version 2 of the protocol does: under the next epoch.</summary>
    private async Task<EndTxnResponse> EndAsync(EndTxnRequest request)
    {
        Assert.Equal(_epoch, request.ProducerEpoch);
        _ends.Add(request.Committed);
        _epoch++;
        ErrorCode error = await _partition.WriteMarkerAsync(
            new TransactionMarker(7, _epoch, CoordinatorEpoch: 1, request.Committed, TransactionVersion: 2));
        return new EndTxnResponse { ErrorCode = error, ProducerId = 7, ProducerEpoch = _epoch };
    }
}
