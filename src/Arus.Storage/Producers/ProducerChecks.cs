namespace Arus.Storage;

/// <summary>Whether a producer's batch, or a transaction marker, may be appended. All methods are pure.</summary>
internal static class ProducerChecks
{
    /// <returns>The result of a batch that is refused or a duplicate; null when it is to be appended.</returns>
    public static LogAppendResult? Batch(
        RecordBatchHeader header, ProducerState? state, TransactionVerifications verifications, VerificationGuard? guard,
        bool logAppendTime)
    {
        (long id, short epoch) = (header.ProducerId, header.ProducerEpoch);
        if (state?.FindDuplicate(epoch, header.BaseSequence, header.LastSequence) is { } duplicate)
            return new LogAppendResult(ErrorCode.None, duplicate.FirstOffset, logAppendTime ? duplicate.Timestamp : -1);

        if (state is not null && epoch < state.Epoch)
        {
            return LogAppendResult.Refused(
                ErrorCode.InvalidProducerEpoch, $"Producer {id} has epoch {epoch}; a producer with epoch {state.Epoch} wrote here.");
        }

        if (!header.IsTransactional && state is { IsInTransaction: true })
        {
            return LogAppendResult.Refused(
                ErrorCode.InvalidTxnState, $"Producer {id} has a transaction open here; its batches have to be transactional.");
        }

        VerificationGuard? begun = verifications.Find(id);
        bool isOpen = state is { IsInTransaction: true } && state.Epoch == epoch;
        if (header.IsTransactional && !isOpen && (guard is null || guard != begun))
        {
            return LogAppendResult.Refused(
                ErrorCode.InvalidTxnState,
                $"The transactional batch of producer {id} belongs to no transaction that its coordinator has confirmed here.");
        }

        return Sequence(header, state, begun);
    }

    /// <param name="begun">Of a batch that is to begin a transaction, or of one before it.</param>
    private static LogAppendResult? Sequence(RecordBatchHeader header, ProducerState? state, VerificationGuard? begun)
    {
        int? expected = ExpectedSequence(header, state);
        if (expected is null && begun is { BeginsAtZero: true })
            expected = 0;

        if (expected is null && begun is not null && begun.ProducerEpoch == header.ProducerEpoch
            && header.BaseSequence > begun.LowestSequence)
        {
            expected = begun.LowestSequence;
        }

        return expected is null || header.BaseSequence == expected
            ? null
            : LogAppendResult.Refused(
                ErrorCode.OutOfOrderSequenceNumber,
                $"Producer {header.ProducerId}, epoch {header.ProducerEpoch}, sent sequence {header.BaseSequence}; {expected} comes next.");
    }

    /// <summary>Null for any: the records of an unknown producer may have been deleted (KIP-360).</summary>
    private static int? ExpectedSequence(RecordBatchHeader header, ProducerState? state) =>
        state is null ? null
        : header.ProducerEpoch != state.Epoch || state.Batches.Length == 0 ? 0
        : ProducerSequence.Add(state.LastSequence, 1);

    /// <param name="version">Of the transaction: from 2 on every end of one has an epoch of its own (KIP-890).</param>
    /// <returns>The result of a marker that is refused or was appended before; null when it is to be appended.</returns>
    public static LogAppendResult? Marker(
        RecordBatchHeader header, ProducerState state, int coordinatorEpoch, short version, long logEndOffset)
    {
        if (header.ProducerEpoch < state.Epoch)
        {
            return LogAppendResult.Refused(
                ErrorCode.InvalidProducerEpoch,
                $"The marker for producer {header.ProducerId} has epoch {header.ProducerEpoch}; epoch {state.Epoch} was seen here.");
        }

        if (coordinatorEpoch < state.CoordinatorEpoch)
        {
            return LogAppendResult.Refused(
                ErrorCode.TransactionCoordinatorFenced,
                $"The marker for producer {header.ProducerId} is of coordinator epoch {coordinatorEpoch}; epoch "
                + $"{state.CoordinatorEpoch} was seen here.");
        }

        // It was appended before; what is open now is the next transaction, which it must not end.
        bool isRepeated = version >= 2 && header.ProducerEpoch == state.Epoch;
        return isRepeated ? new LogAppendResult(ErrorCode.None, logEndOffset - 1, -1) : null;
    }
}
