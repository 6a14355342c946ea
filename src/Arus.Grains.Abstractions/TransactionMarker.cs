namespace Arus.Grains;

/// <summary>What a transaction's coordinator tells a participant, a partition or a group, when the transaction ends.</summary>
/// <param name="ProducerEpoch">
/// The epoch that ends the transaction: the transaction's own, or a later one if the coordinator fenced the producer or, from
/// transaction version 2 on, raised the epoch with the end (KIP-890).
/// </param>
/// <param name="CoordinatorEpoch">Of the coordinator that sends it; a participant that has seen a later one refuses it.</param>
/// <param name="TransactionVersion">The feature level (<c>transaction.version</c>) under which the transaction ran: 0 to 2.</param>
/// <param name="TopicId">Of a partition: the topic that is meant; empty for whichever has the name, and for a group.</param>
[GenerateSerializer, Immutable, Alias("arus.TransactionMarker")]
public sealed record TransactionMarker(
    long ProducerId, short ProducerEpoch, int CoordinatorEpoch, bool IsCommit, short TransactionVersion, Guid TopicId = default);
