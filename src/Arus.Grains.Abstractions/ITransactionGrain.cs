using Arus.Protocol;
using Orleans.Concurrency;

namespace Arus.Grains;

/// <summary>
/// The coordinator of one transactional id: its producer id and epoch, its open transaction, and the end of it. The key is
/// the transactional id itself.
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
}

/// <summary>Whether a group is a participant of a transaction.</summary>
/// <param name="CoordinatorEpoch">Of the coordinator that answers: the group refuses what earlier ones may still say of the end.</param>
[GenerateSerializer, Immutable, Alias("arus.GroupParticipation")]
public readonly record struct GroupParticipation(ErrorCode ErrorCode, int CoordinatorEpoch);

/// <param name="TopicId">Of the topic that has the name; empty if the caller does not know it.</param>
[GenerateSerializer, Immutable, Alias("arus.TransactionPartition")]
public readonly record struct TransactionPartition(string Topic, int Partition, Guid TopicId);
