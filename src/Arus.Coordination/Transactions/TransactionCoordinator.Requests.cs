using Arus.Protocol;

namespace Arus.Coordination;

/// <content>The requests of producers, and of the leaders and groups that they send to.</content>
public sealed partial class TransactionCoordinator
{
    /// <summary>The first feature level with which the end of a transaction raises the producer's epoch (KIP-890).</summary>
    private const short EpochRaisedSince = 2;

    /// <summary>
    /// Makes partitions or groups participants of the open transaction, or begins one with them. Answered with an
    /// <see cref="AddOffsetsToTxnResponse"/>, whose error is that of all.
    /// </summary>
    public void Add(
        long call, long producerId, short producerEpoch, IReadOnlyList<TransactionParticipant> participants, long nowMs)
    {
        ErrorCode error = CheckProducer(producerId, producerEpoch);
        if (error == ErrorCode.None)
            error = AddParticipants(participants, nowMs);

        _replies.SendWhenDurable(call, Answer(error));
    }

    /// <summary>Whether all of these are participants of the open transaction; answered as <see cref="Add"/> is.</summary>
    public void Verify(long call, long producerId, short producerEpoch, IReadOnlyList<TransactionParticipant> participants)
    {
        ErrorCode error = CheckProducer(producerId, producerEpoch);
        if (error == ErrorCode.None && !participants.All(_participants.Contains))
            error = ErrorCode.TransactionAbortable;

        _replies.SendWhenDurable(call, Answer(error));
    }

    /// <summary>Decides the transaction. Answered with an <see cref="EndTxnResponse"/> when the decision is durable.</summary>
    /// <param name="version">The feature level that the producer speaks.</param>
    public void End(long call, EndTxnRequest request, short version, long nowMs)
    {
        ErrorCode error = version >= EpochRaisedSince ? EndRaisingEpoch(request, version, nowMs) : EndKeepingEpoch(request, version, nowMs);
        (long id, short epoch) = error == ErrorCode.None ? _producer.Next : (ProducerIdentity.NoId, ProducerIdentity.NoEpoch);
        _replies.SendWhenDurable(call, new EndTxnResponse { ErrorCode = error, ProducerId = id, ProducerEpoch = epoch });
    }

    private static AddOffsetsToTxnResponse Answer(ErrorCode error) => new() { ErrorCode = error };

    private void InitProducerId(long call, InitProducerIdRequest request, long nowMs)
    {
        ErrorCode error = Initialize(request, nowMs);
        (long id, short epoch) = error == ErrorCode.None
            ? (_producer.Id, _producer.Epoch)
            : (ProducerIdentity.NoId, ProducerIdentity.NoEpoch);
        _replies.SendWhenDurable(call, new InitProducerIdResponse { ErrorCode = error, ProducerId = id, ProducerEpoch = epoch });
    }

    private ErrorCode Initialize(InitProducerIdRequest request, long nowMs)
    {
        bool isContinued = request.ProducerId != ProducerIdentity.NoId;
        bool isCurrent = _producer.Is(request.ProducerId, request.ProducerEpoch);
        if (request.TransactionTimeoutMs <= 0 || request.TransactionTimeoutMs > _options.MaxTimeoutMs)
            return ErrorCode.InvalidTransactionTimeout;

        if (IsPrepared)
            return ErrorCode.ConcurrentTransactions;

        if (_state == TransactionState.Ongoing)
        {
            // A producer that was fenced must not abort the transaction of the one that fenced it.
            if (isContinued && !isCurrent)
                return ErrorCode.ProducerFenced;

            // The producer asks again, and gets another epoch when the abort is complete.
            _producer.Fence();
            Decide(isCommit: false, version: 0, nowMs);
            return ErrorCode.ConcurrentTransactions;
        }

        if (_exists && isContinued && !isCurrent)
        {
            return _producer.IsRepeatedInitialization(request.ProducerId, request.ProducerEpoch)
                ? ErrorCode.None
                : ErrorCode.ProducerFenced;
        }

        if (_producer.NeedsNewId && _spareId == ProducerIdentity.NoId)
            return ErrorCode.CoordinatorLoadInProgress;

        _producer.Raise(TakeSpareId(_producer.NeedsNewId), _exists && isContinued);
        _exists = true;
        _state = TransactionState.Empty;
        _timeoutMs = request.TransactionTimeoutMs;
        _startedAtMs = -1;
        Note(nowMs);
        return ErrorCode.None;
    }

    private ErrorCode AddParticipants(IReadOnlyList<TransactionParticipant> participants, long nowMs)
    {
        TransactionParticipant[] added = [.. participants.Where(participant => !_participants.Contains(participant))];
        if (_participants.Count + added.Length > MaxParticipants)
            return ErrorCode.InvalidRequest;

        if (added.Length == 0)
            return ErrorCode.None;

        if (_state != TransactionState.Ongoing)
        {
            _state = TransactionState.Ongoing;
            _startedAtMs = nowMs;
        }

        Array.ForEach(added, _participants.Add);
        Note(nowMs);
        return ErrorCode.None;
    }

    private ErrorCode CheckProducer(long producerId, short producerEpoch) =>
        !_exists ? ErrorCode.InvalidProducerIdMapping
        : IsPrepared ? ErrorCode.ConcurrentTransactions
        : producerId != _producer.Id ? ErrorCode.InvalidProducerIdMapping
        : _producer.IsFenced(producerEpoch) ? ErrorCode.ProducerFenced
        : ErrorCode.None;

    /// <summary>An end under version 1 of the protocol: the same epoch may mean that the request is a repetition.</summary>
    private ErrorCode EndKeepingEpoch(EndTxnRequest request, short version, long nowMs)
    {
        if (!_exists || request.ProducerId != _producer.Id)
            return ErrorCode.InvalidProducerIdMapping;

        if (_producer.IsFenced(request.ProducerEpoch))
            return ErrorCode.ProducerFenced;

        switch (_state)
        {
            case TransactionState.Ongoing:
                Decide(request.Committed, version, nowMs);
                return ErrorCode.None;
            case TransactionState.PrepareCommit or TransactionState.PrepareAbort:
                return IsDecision(request) ? ErrorCode.ConcurrentTransactions : ErrorCode.InvalidTxnState;
            case TransactionState.CompleteCommit or TransactionState.CompleteAbort:
                return IsDecision(request) ? ErrorCode.None : ErrorCode.InvalidTxnState;
            default:
                return ErrorCode.InvalidTxnState;
        }
    }

    /// <summary>
    /// An end under version 2 of the protocol: the epoch tells a repetition from the end of a transaction that was not begun, which may
    /// only be aborted.
    /// </summary>
    private ErrorCode EndRaisingEpoch(EndTxnRequest request, short version, long nowMs)
    {
        if (IsPrepared && _producer.Next == (request.ProducerId, request.ProducerEpoch))
            return ErrorCode.ConcurrentTransactions;

        bool isRepetition = _producer.IsRepeatedEnd(request.ProducerId, request.ProducerEpoch);
        bool isEnded = IsPrepared || _state is TransactionState.CompleteCommit or TransactionState.CompleteAbort;
        if (!_exists || (request.ProducerId != _producer.Id && !(isRepetition && isEnded)))
            return ErrorCode.InvalidProducerIdMapping;

        if (isRepetition && isEnded)
            return !IsDecision(request) ? ErrorCode.InvalidTxnState : IsPrepared ? ErrorCode.ConcurrentTransactions : ErrorCode.None;

        if (IsPrepared || _producer.IsFenced(request.ProducerEpoch))
            return ErrorCode.ProducerFenced;

        if (_state != TransactionState.Ongoing && request.Committed)
            return ErrorCode.InvalidTxnState;

        if (_producer.NeedsNewId && _spareId == ProducerIdentity.NoId)
            return ErrorCode.CoordinatorLoadInProgress;

        if (_state != TransactionState.Ongoing)
            _startedAtMs = nowMs;

        _producer.RaiseWithEnd(TakeSpareId(_producer.NeedsNewId));
        Decide(request.Committed, version, nowMs);
        return ErrorCode.None;
    }

    /// <summary>Whether the request wants what was decided.</summary>
    private bool IsDecision(EndTxnRequest request) =>
        request.Committed == _state is TransactionState.PrepareCommit or TransactionState.CompleteCommit;

    private long TakeSpareId(bool isNeeded)
    {
        long id = _spareId;
        if (isNeeded)
            _spareId = ProducerIdentity.NoId;

        return isNeeded ? id : ProducerIdentity.NoId;
    }
}
