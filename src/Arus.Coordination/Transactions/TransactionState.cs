using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>Kafka's states of a transactional id.</summary>
public enum TransactionState : byte
{
    /// <summary>The producer has its id and epoch, and no transaction since.</summary>
    Empty = 0,

    /// <summary>Partitions or groups take part in an open transaction.</summary>
    Ongoing = 1,

    /// <summary>The commit is decided; participants are told.</summary>
    PrepareCommit = 2,

    /// <summary>The abort is decided; participants are told.</summary>
    PrepareAbort = 3,

    /// <summary>Every participant has the commit.</summary>
    CompleteCommit = 4,

    /// <summary>Every participant has the abort.</summary>
    CompleteAbort = 5,

    /// <summary>There is no such transactional id.</summary>
    Dead = 6,

    /// <summary>Kafka's coordinators are in it for a moment, before they abort for a new producer; here the two are one step.</summary>
    PrepareEpochFence = 7,
}

/// <summary>A partition or a group that takes part in a transaction.</summary>
/// <param name="Name">Of the topic or of the group.</param>
/// <param name="Partition">-1 for a group.</param>
/// <param name="TopicId">Empty where it is not known, and for a group.</param>
public readonly record struct TransactionParticipant(string Name, int Partition, Guid TopicId)
{
    public bool IsGroup => Partition < 0;

    public static TransactionParticipant Group(string groupId) => new(groupId, -1, Guid.Empty);
}

/// <summary>What a participant is to be told of the end of a transaction.</summary>
/// <param name="Id">Names this attempt; comes back with its outcome.</param>
/// <param name="CoordinatorEpoch">A participant that has seen a later one refuses it.</param>
/// <param name="TransactionVersion">The feature level of the producer that ended the transaction; 0 if the coordinator did.</param>
public readonly record struct MarkerToSend(
    long Id, TransactionParticipant Participant, long ProducerId, short ProducerEpoch, int CoordinatorEpoch, bool IsCommit,
    short TransactionVersion);

/// <summary>What became of a marker.</summary>
public enum MarkerOutcome
{
    /// <summary>It is durable, or the participant is no more and has nothing to end.</summary>
    Written,

    /// <summary>It was not written and never will be: it is to be sent again.</summary>
    Refused,

    /// <summary>
    /// It may have been written, or may still be: it is to be sent again, in a later coordinator epoch, since the participant must refuse
    /// what comes of this attempt once another one has ended the transaction.
    /// </summary>
    Unknown,
}

/// <summary>What to make durable of a transactional id.</summary>
/// <param name="Metadata">Null to forget the id.</param>
/// <param name="CoordinatorEpoch">No marker is sent in a coordinator epoch that is not durable.</param>
public sealed record TransactionRecords(TransactionMetadata? Metadata, int CoordinatorEpoch)
{
    /// <summary>Whether the coordinator has something to do, even if nobody asks it.</summary>
    public bool IsOpen => Metadata is { State: >= (sbyte)TransactionState.Ongoing and <= (sbyte)TransactionState.PrepareAbort };
}
