using Arus.Cluster.Tests.Groups;
using Arus.Coordination;
using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;

namespace Arus.Cluster.Tests.Transactions;

/// <summary>The coordinator of transactions on a cluster: what is stored, who is told, and what happens to one that lost its id.</summary>
public sealed class TransactionGrainTests(GroupCluster cluster) : IClassFixture<GroupCluster>
{
    [Fact]
    public async Task A_transaction_is_committed_in_its_partitions_and_listed_while_it_is_open()
    {
        ITransactionGrain transaction = cluster.Grains.GetTransaction("plain");
        ITransactionCatalogGrain catalog = cluster.Grains.GetTransactionCatalog("plain");
        Assert.Equal(ErrorCode.TransactionalIdNotFound, (await DescribeAsync(transaction)).ErrorCode);
        (long id, short epoch) = await InitAsync(transaction);
        Assert.Contains("plain", await catalog.ListAsync(onlyOpen: false));
        Assert.DoesNotContain("plain", await catalog.ListAsync(onlyOpen: true));

        Assert.Equal(ErrorCode.None, await transaction.AddPartitionsAsync(id, epoch, [Partition(0), Partition(1)]));
        Assert.Equal(ErrorCode.None, (await transaction.AddGroupAsync(id, epoch, "group")).ErrorCode);
        Assert.Contains("plain", await catalog.ListAsync(onlyOpen: true));
        Assert.Equal(ErrorCode.None, await transaction.VerifyPartitionsAsync(id, epoch, [Partition(1)]));
        Assert.Equal(ErrorCode.TransactionAbortable, await transaction.VerifyPartitionsAsync(id, epoch, [Partition(2)]));
        Assert.Equal(ErrorCode.TransactionAbortable, (await transaction.VerifyGroupAsync(id, epoch, "other")).ErrorCode);

        EndTxnResponse end = await EndAsync(transaction, id, epoch, 2);
        Assert.Equal((ErrorCode.None, id, (short)(epoch + 1)), (end.ErrorCode, end.ProducerId, end.ProducerEpoch));
        await CompletesAsync(transaction, TransactionState.CompleteCommit);
        PartitionProducers producers =
            await cluster.Grains.GetGrain<IPartitionGrain>(PartitionKey.Format("t", 1)).DescribeProducersAsync();
        Assert.Contains(producers.Producers, producer => (producer.ProducerId, producer.Epoch) == (id, (short)(epoch + 1)));
    }

    [Fact]
    public async Task A_partition_that_is_deleted_does_not_keep_a_transaction_open()
    {
        Guid topicId = (await cluster.CreateTopicAsync("doomed")).Id;
        ITransactionGrain transaction = cluster.Grains.GetTransaction("survivor");
        (long id, short epoch) = await InitAsync(transaction);
        await transaction.AddPartitionsAsync(id, epoch, [Partition(0), new TransactionPartition("doomed", 0, topicId)]);
        await cluster.Topic("doomed").DeleteAsync();
        await EndAsync(transaction, id, epoch, 0);
        await CompletesAsync(transaction, TransactionState.CompleteCommit);
    }

    [Fact]
    public async Task Asking_about_an_id_that_is_not_stores_nothing()
    {
        ITransactionGrain transaction = cluster.Grains.GetTransaction("never");
        Assert.Equal(ErrorCode.InvalidProducerIdMapping, await transaction.AddPartitionsAsync(7, 0, [Partition(0)]));
        Assert.Equal(ErrorCode.InvalidProducerIdMapping, (await EndAsync(transaction, 7, 0, 2)).ErrorCode);
        Assert.InRange(await transaction.LocateAsync(), 1, 2);
        await transaction.WakeAsync();
        Assert.Empty(cluster.Storage.RowsOf(transaction.GetGrainId()));
        Assert.DoesNotContain("never", await cluster.Grains.GetTransactionCatalog("never").ListAsync(onlyOpen: false));
    }

    [Fact]
    public async Task A_coordinator_that_lost_its_id_gives_no_verdict_and_the_next_has_a_later_epoch()
    {
        ITransactionGrain transaction = cluster.Grains.GetTransaction("stolen");
        (long id, short epoch) = await InitAsync(transaction);
        TransactionStore thief = Store(transaction, "stolen");
        await thief.LoadAsync(claim: true);

        ArusException refused = await Assert.ThrowsAsync<ArusException>(() => transaction.VerifyPartitionsAsync(id, epoch, [Partition(0)]));
        Assert.Equal(ErrorCode.NotCoordinator, refused.Code);
        Assert.Equal(ErrorCode.None, await GroupCluster.RetryAsync(
            () => transaction.AddPartitionsAsync(id, epoch, [Partition(0)]), error => error));
        TransactionStore stored = Store(transaction, "stolen");
        await stored.LoadAsync(claim: false);
        Assert.Equal((2, thief.CoordinatorEpoch), (stored.CoordinatorEpoch, 1));
        Assert.False(await thief.IsOwnerAsync());
    }

    [Fact]
    public async Task A_transaction_whose_coordinator_died_is_aborted_in_its_time_though_nobody_asks()
    {
        var own = new GroupCluster();
        await own.InitializeAsync();
        try
        {
            ITransactionGrain transaction = own.Grains.GetTransaction("orphan");
            (long id, short epoch) = await InitAsync(transaction, timeoutMs: 2_000);
            await transaction.AddPartitionsAsync(id, epoch, [Partition(0)]);
            await own.KillAsync(await transaction.LocateAsync());
            var row = new TransactionStore(
                own.Storage, transaction.GetGrainId(), "orphan", Guid.NewGuid(), own.Grains.GetTransactionCatalog("orphan"));
            await Eventually.AsksAsync(
                async () =>
                {
                    await row.LoadAsync(claim: false);
                    return row.Metadata!.State;
                },
                state => state == (sbyte)TransactionState.PrepareAbort, _ => false, TimeSpan.FromSeconds(60));
        }
        finally
        {
            await own.DisposeAsync();
        }
    }

    private static TransactionPartition Partition(int partition) => new("t", partition, Guid.Empty);

    private static async Task<(long Id, short Epoch)> InitAsync(ITransactionGrain transaction, int timeoutMs = 60_000)
    {
        InitProducerIdResponse response =
            await transaction.InitProducerIdAsync(new InitProducerIdRequest { TransactionalId = "x", TransactionTimeoutMs = timeoutMs });
        Assert.Equal(ErrorCode.None, response.ErrorCode);
        return (response.ProducerId, response.ProducerEpoch);
    }

    private static Task<EndTxnResponse> EndAsync(ITransactionGrain transaction, long id, short epoch, short version) =>
        transaction.EndAsync(
            new EndTxnRequest { TransactionalId = "x", ProducerId = id, ProducerEpoch = epoch, Committed = true }, version);

    private static async Task<DescribeTransactionsResponse.DescribedTransaction> DescribeAsync(ITransactionGrain transaction) =>
        (await transaction.DescribeAsync(new DescribeTransactionsRequest { TransactionalIds = ["x"] })).TransactionStates[0];

    private static Task CompletesAsync(ITransactionGrain transaction, TransactionState state) => Eventually.AsksAsync(
        () => DescribeAsync(transaction), described => described.TransactionState == state.ToString(), _ => false, TestTimeout.Value);

    private TransactionStore Store(ITransactionGrain transaction, string id) => new(
        cluster.Storage, transaction.GetGrainId(), id, Guid.NewGuid(), cluster.Grains.GetTransactionCatalog(id));
}
