using Arus.Protocol;
using Orleans.Concurrency;

namespace Arus.Grains;

/// <summary>
/// The coordinator of one transactional id: its producer id and epoch, its open transaction, and the end of it. Its key is
/// that of <see cref="TransactionGrains.GetTransaction"/>.
/// </summary>
/// <remarks>
/// Requests and responses are Kafka's in their newest form. A request that reaches an activation which has lost the id fails with an
/// <see cref="ArusException"/> of <see cref="ErrorCode.NotCoordinator"/>: ask again.
/// </remarks>
[Alias("arus.ITransactionGrain")]
public interface ITransactionGrain : IGrainWithStringKey
{
    /// <summary>
    /// Gives the producer its id with a new epoch, which fences earlier ones; an open transaction of theirs is aborted first.
    /// </summary>
    [Alias("InitProducerId"), AlwaysInterleave]
    Task<InitProducerIdResponse> InitProducerIdAsync(InitProducerIdRequest request);

    /// <summary>Makes partitions participants of the open transaction, or begins one with them, durably.</summary>
    [Alias("AddPartitions"), AlwaysInterleave]
    Task<ErrorCode> AddPartitionsAsync(long producerId, short producerEpoch, TransactionPartition[] partitions);

    /// <summary>Whether these partitions are participants of the open transaction; changes nothing (KIP-890).</summary>
    [Alias("VerifyPartitions"), AlwaysInterleave]
    Task<ErrorCode> VerifyPartitionsAsync(long producerId, short producerEpoch, TransactionPartition[] partitions);

    /// <summary>Makes a group a participant, as <see cref="AddPartitionsAsync"/> does with partitions.</summary>
    [Alias("AddGroup"), AlwaysInterleave]
    Task<GroupParticipation> AddGroupAsync(long producerId, short producerEpoch, string groupId);

    /// <summary>Whether the group is a participant of the open transaction; changes nothing.</summary>
    [Alias("VerifyGroup"), AlwaysInterleave]
    Task<GroupParticipation> VerifyGroupAsync(long producerId, short producerEpoch, string groupId);

    /// <summary>Decides the transaction, durably, and answers then; the participants are told afterwards.</summary>
    [Alias("End"), AlwaysInterleave]
    Task<EndTxnResponse> EndAsync(EndTxnRequest request, short transactionVersion);

    /// <summary>
    /// The state of the id, and the partitions that take part in its open transaction; groups have no place in Kafka's message. An id that
    /// is not known is <see cref="ErrorCode.TransactionalIdNotFound"/>.
    /// </summary>
    [Alias("Describe"), AlwaysInterleave]
    Task<DescribeTransactionsResponse> DescribeAsync(DescribeTransactionsRequest request);

    /// <summary>The id of the broker on which the coordinator runs; activates it if it runs nowhere.</summary>
    [Alias("Locate"), AlwaysInterleave]
    Task<int> LocateAsync();

    /// <summary>
    /// Sees to it that the coordinator runs if it has something to do without being asked: a transaction to end, or an id to forget.
    /// </summary>
    [Alias("Wake"), AlwaysInterleave]
    Task WakeAsync();
}

/// <summary>One shard of the list of transactional ids, sharded as topics are (<see cref="TopicCatalog.ShardOf(string)"/>).</summary>
[Alias("arus.ITransactionCatalogGrain")]
public interface ITransactionCatalogGrain : IGrainWithIntegerKey
{
    /// <summary>Lists an id, or changes whether its coordinator may have a transaction to end.</summary>
    [Alias("Set")]
    Task SetAsync(string transactionalId, bool isOpen);

    [Alias("Remove")]
    Task RemoveAsync(string transactionalId);

    /// <param name="onlyOpen">Whether to list only those whose coordinator may have a transaction to end.</param>
    [Alias("List"), AlwaysInterleave]
    Task<string[]> ListAsync(bool onlyOpen);
}

/// <summary>References to the coordinators of transactions.</summary>
public static class TransactionGrains
{
    /// <summary>The coordinator of any transactional id, whose key is marked as that of a group is (<see cref="GroupKey"/>).</summary>
    public static ITransactionGrain GetTransaction(this IGrainFactory grains, string transactionalId) =>
        grains.GetGrain<ITransactionGrain>(GroupKey.Format(transactionalId));

    public static ITransactionCatalogGrain GetTransactionCatalog(this IGrainFactory grains, string transactionalId) =>
        grains.GetGrain<ITransactionCatalogGrain>(TopicCatalog.ShardOf(transactionalId));
}

/// <summary>Whether a group is a participant of a transaction.</summary>
/// <param name="CoordinatorEpoch">Of the coordinator that answers: the group refuses what earlier ones may still say of the end.</param>
[GenerateSerializer, Immutable, Alias("arus.GroupParticipation")]
public readonly record struct GroupParticipation(ErrorCode ErrorCode, int CoordinatorEpoch);

/// <param name="TopicId">Of the topic that has the name; empty if the caller does not know it.</param>
[GenerateSerializer, Immutable, Alias("arus.TransactionPartition")]
public readonly record struct TransactionPartition(string Topic, int Partition, Guid TopicId);
