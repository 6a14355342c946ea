using Arus.Protocol;

namespace Arus.Coordination;

/// <content>Offsets that are committed in transactions.</content>
/// <remarks>
/// Before a producer's first commit in a transaction is received the host has its transaction's coordinator make the group a participant,
/// or confirm that it is one: otherwise nobody would ever tell the group how the transaction ends. A <see cref="TransactionGuard"/> spans
/// question and commit, so that a transaction which ends in between leaves nothing behind.
/// </remarks>
public sealed partial class ConsumerGroup
{
    private readonly HashSet<TransactionGuard> _guards = [];

    /// <summary>Whether offsets of this producer and epoch are pending, so that the group is known to be a participant.</summary>
    public bool IsParticipant(long producerId, short producerEpoch) => _offsets.FindTransaction(producerId)?.ProducerEpoch == producerEpoch;

    /// <summary>Begins to watch for the end of the producer's transaction, until <see cref="Release"/>.</summary>
    /// <param name="producerId">The producer.</param>
    /// <param name="epochOfItsOwn">
    /// From transaction version 2 on, the epoch of the transaction: its end has a later one, and what ends with it is the transaction
    /// before. Otherwise -1.
    /// </param>
    public TransactionGuard Guard(long producerId, short epochOfItsOwn = -1)
    {
        var guard = new TransactionGuard(producerId, epochOfItsOwn);
        _guards.Add(guard);
        return guard;
    }

    public void Release(TransactionGuard guard) => _guards.Remove(guard);

    /// <summary>The response to a commit that is refused as a whole.</summary>
    public static OffsetCommitResponse RefuseCommit(OffsetCommitRequest request, ErrorCode error) =>
        CommittedOffsets.CommitResponse(request, (_, _) => error);

    /// <summary>Takes a commit in a transaction. Its offsets count when the transaction is committed.</summary>
    /// <param name="call">Names the call; comes back with an <see cref="OffsetCommitResponse"/>.</param>
    /// <param name="transaction">With the epoch of the coordinator that was asked; it does not count without a guard.</param>
    /// <param name="guard">Of the question to the coordinator; null if the group was a participant.</param>
    public void CommitOffsets(
        long call, OffsetCommitRequest request, OffsetTransaction transaction, TransactionGuard? guard, long nowMs)
    {
        OffsetTransaction? open = _offsets.FindTransaction(transaction.ProducerId);
        ErrorCode error = CheckTransaction(transaction, open, guard);
        error = error != ErrorCode.None ? error : _members.CheckTransactionalCommit(request, State, Generation);
        if (error != ErrorCode.None)
        {
            _replies.Send(call, RefuseCommit(request, error));
            return;
        }

        int coordinatorEpoch = Math.Max(transaction.CoordinatorEpoch, open?.CoordinatorEpoch ?? int.MinValue);
        StoreOffsets(call, request, transaction with { CoordinatorEpoch = coordinatorEpoch }, nowMs);
    }

    /// <summary>
    /// Takes a marker: the producer's transaction has ended. A repetition, and one of a transaction that left nothing here, does nothing.
    /// </summary>
    /// <param name="call">
    /// Names the call; comes back with an <see cref="OffsetCommitResponse"/> of the offsets that were pending, all with the error of the
    /// marker if it is refused; otherwise when that is durable.
    /// </param>
    /// <param name="marker">The epochs that the marker has.</param>
    /// <param name="raisesEpoch">Whether every end raises the producer's epoch, as from transaction version 2 on.</param>
    public void EndTransaction(long call, OffsetTransaction marker, bool isCommit, bool raisesEpoch)
    {
        foreach (TransactionGuard guard in _guards.Where(guard => guard.IsBrokenBy(marker)))
            guard.IsBroken = true;

        _replies.SendWhenDurable(call, _offsets.EndTransaction(marker, isCommit, raisesEpoch));
    }

    private static ErrorCode CheckTransaction(OffsetTransaction transaction, OffsetTransaction? open, TransactionGuard? guard) =>
        transaction.ProducerEpoch < open?.ProducerEpoch ? ErrorCode.InvalidProducerEpoch
        : (guard is null && open is null) || guard is { IsBroken: true } || transaction.ProducerEpoch > open?.ProducerEpoch
            ? ErrorCode.InvalidTxnState
        : ErrorCode.None;
}

/// <summary>Whether a producer's transaction may have ended while the host asked its coordinator about it.</summary>
public sealed class TransactionGuard
{
    private readonly long _producerId;
    private readonly short _epochOfItsOwn;

    internal TransactionGuard(long producerId, short epochOfItsOwn) => (_producerId, _epochOfItsOwn) = (producerId, epochOfItsOwn);

    internal bool IsBroken { get; set; }

    internal bool IsBrokenBy(OffsetTransaction marker) =>
        marker.ProducerId == _producerId && (_epochOfItsOwn < 0 || marker.ProducerEpoch > _epochOfItsOwn);
}
