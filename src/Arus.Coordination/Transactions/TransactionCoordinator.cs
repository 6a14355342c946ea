using System.Diagnostics;
using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>The coordinator of one transactional id: its producer's id and epoch, its open transaction, and the end of it.</summary>
/// <remarks>
/// The rules are those of Kafka's transaction coordinator (KIP-98, KIP-360, KIP-890 with both versions of the protocol), with these
/// additions. A decision and the fencing of the producer that an initialization or a timeout brings are one step. An attempt to write a
/// marker whose fate is unknown is repeated in a later coordinator epoch, so that it cannot end a later transaction when it comes late.
/// That a transaction is complete is stored with the next change, or when a while has passed: until then its markers would be written
/// once more, which does no harm.
/// <para>
/// It takes InitProducerId and DescribeTransactions as requests, each for this id alone; the rest has no request that says all of it.
/// Beside the duties of <see cref="IStateMachine{TRecords}"/> a host supplies a producer id where <see cref="NeedsProducerId"/>, looks
/// whether it is still the owner before it answers what changed nothing (<see cref="Changes"/>), and after each input takes the markers to
/// send (<see cref="TryTakeMarker"/>), each of which gets an outcome by <see cref="MarkerSent"/>.
/// </para>
/// </remarks>
public sealed partial class TransactionCoordinator : IStateMachine<TransactionRecords>
{
    /// <summary>Partitions and groups that may take part in one transaction; more are refused.</summary>
    public const int MaxParticipants = 100_000;

    /// <summary>After how long without another change it is stored that a transaction is complete.</summary>
    public const int CompletionDelayMs = 60_000;

    private readonly string _transactionalId;
    private readonly TransactionOptions _options;
    private readonly ReplyQueue _replies = new();
    private readonly TransactionParticipants _participants = new();

    private ProducerIdentity _producer = new();
    private long _spareId = ProducerIdentity.NoId;
    private bool _exists;
    private TransactionState _state;
    private short _version;
    private int _timeoutMs;
    private long _startedAtMs = -1;
    private long _updatedAtMs;

    private MarkerDelivery? _delivery;
    private long _lastMarker;
    private int _coordinatorEpoch;
    private int _durableEpoch;

    private bool _changed;
    private long _completionDueMs = long.MaxValue;
    private (MarkerDelivery? Delivery, int CoordinatorEpoch) _writing;

    /// <param name="transactionalId">For descriptions.</param>
    /// <param name="coordinatorEpoch">The durable epoch with which what is stored was claimed; 0 where nothing is.</param>
    /// <param name="stored">What is stored of the id; null if nothing is.</param>
    public TransactionCoordinator(
        string transactionalId, TransactionOptions options, int coordinatorEpoch, TransactionMetadata? stored)
    {
        _transactionalId = transactionalId;
        _options = options;
        _coordinatorEpoch = _durableEpoch = coordinatorEpoch;
        if (stored is not null)
            Restore(stored);
    }

    /// <summary>Participants refuse markers of earlier ones from now on, if they are told.</summary>
    public int CoordinatorEpoch => _coordinatorEpoch;

    public TransactionState State => _exists ? _state : TransactionState.Dead;

    /// <summary>
    /// Counts changes. What is answered without one is only known to be true if the host owns the id afterwards: another coordinator may
    /// have changed it.
    /// </summary>
    public long Changes { get; private set; }

    /// <summary>Whether the next request to initialize, or to end a transaction, may need an id that no producer has.</summary>
    public bool NeedsProducerId => _spareId == ProducerIdentity.NoId && _producer.MayNeedNewIdSoon;

    /// <inheritdoc/>
    public bool IsIdle => !IsOpen && !_changed;

    private bool IsPrepared => _exists && _state is TransactionState.PrepareCommit or TransactionState.PrepareAbort;

    private bool IsOpen => _exists && (_state == TransactionState.Ongoing || IsPrepared);

    /// <summary>Gives an id that no producer has; it may never be used.</summary>
    public void SupplyProducerId(long id) => _spareId = id;

    /// <inheritdoc/>
    public void Receive(long call, IApiMessage request, Caller caller, long nowMs)
    {
        switch (request)
        {
            case InitProducerIdRequest initialize:
                InitProducerId(call, initialize, nowMs);
                break;
            case DescribeTransactionsRequest:
                _replies.Send(call, new DescribeTransactionsResponse { TransactionStates = [Describe()] });
                break;
            default:
                throw new ArgumentException($"A transaction coordinator does not take {request.GetType().Name}.", nameof(request));
        }
    }

    /// <inheritdoc/>
    public void Advance(long nowMs)
    {
        if (_exists && nowMs >= TimeoutDueMs)
        {
            _producer.Fence();
            Decide(isCommit: false, version: 0, nowMs);
        }

        if (_delivery is { } delivery && delivery.Advance(nowMs))
            RaiseCoordinatorEpoch();

        if (nowMs >= _completionDueMs)
            NoteChange();

        if (nowMs >= ExpiryDueMs)
            Forget();
    }

    /// <summary>Takes a marker that is to be sent now; false when there is none (more).</summary>
    public bool TryTakeMarker(out MarkerToSend marker)
    {
        marker = default;
        if (_delivery is null || _durableEpoch != _coordinatorEpoch
            || !_delivery.TryTake(_lastMarker + 1, out TransactionParticipant participant))
        {
            return false;
        }

        marker = new MarkerToSend(
            ++_lastMarker, participant, _producer.Id, _producer.Epoch, _coordinatorEpoch, _state == TransactionState.PrepareCommit,
            _version);
        return true;
    }

    /// <summary>A marker that was taken has an outcome.</summary>
    public void MarkerSent(MarkerToSend marker, MarkerOutcome outcome, long nowMs)
    {
        if (_delivery is not { } delivery)
            return;

        delivery.Answer(marker.Id, marker.Participant, outcome, nowMs);
        if (!delivery.IsDone)
            return;

        Complete(nowMs);
        _completionDueMs = _changed ? long.MaxValue : nowMs + CompletionDelayMs;
    }

    /// <inheritdoc/>
    public void Written()
    {
        _replies.EndWrite();
        _durableEpoch = _writing.CoordinatorEpoch;
        if (_writing.Delivery is { } delivery)
            delivery.IsDurable = true;
    }

    /// <inheritdoc/>
    public Effects<TransactionRecords> TakeEffects(bool canWrite)
    {
        CheckInvariants();
        TransactionRecords? records = null;
        if (canWrite && _changed)
        {
            records = new TransactionRecords(_exists ? TakeSnapshot() : null, _coordinatorEpoch);
            _writing = (_delivery, _coordinatorEpoch);
            _changed = false;
            _replies.BeginWrite();
        }

        return new Effects<TransactionRecords>(_replies.Take(), records, FindNextDeadline());
    }

    private long TimeoutDueMs => _exists && _state == TransactionState.Ongoing ? _startedAtMs + _timeoutMs : long.MaxValue;

    private long ExpiryDueMs => _exists && !IsOpen ? _updatedAtMs + _options.IdExpirationMs : long.MaxValue;

    private long FindNextDeadline() => Math.Min(
        Math.Min(TimeoutDueMs, ExpiryDueMs), Math.Min(_delivery?.NextRetryMs ?? long.MaxValue, _completionDueMs));

    /// <summary>Decides the transaction, which has ended when every participant has been told.</summary>
    private void Decide(bool isCommit, short version, long nowMs)
    {
        _state = isCommit ? TransactionState.PrepareCommit : TransactionState.PrepareAbort;
        _version = version;
        Note(nowMs);
        if (_participants.Count == 0)
            Complete(nowMs);
        else
            _delivery = new MarkerDelivery([.. _participants.All], isDurable: false);
    }

    private void Complete(long nowMs)
    {
        Debug.Assert(IsPrepared, "A transaction is decided before it is complete.");
        _state = _state == TransactionState.PrepareCommit ? TransactionState.CompleteCommit : TransactionState.CompleteAbort;
        _producer.Complete();
        _participants.Clear();
        _delivery = null;
        _updatedAtMs = nowMs;
    }

    private void Forget()
    {
        _exists = false;
        _state = TransactionState.Empty;
        _producer = new ProducerIdentity();
        NoteChange();
    }

    /// <summary>Makes participants refuse what still comes of attempts whose fate is unknown.</summary>
    private void RaiseCoordinatorEpoch()
    {
        _coordinatorEpoch++;
        NoteChange();
    }

    private void Note(long nowMs)
    {
        _updatedAtMs = nowMs;
        NoteChange();
    }

    private void NoteChange()
    {
        Changes++;
        _changed = true;
        _completionDueMs = long.MaxValue;
        _replies.NoteChange();
    }

    private TransactionMetadata TakeSnapshot()
    {
        var metadata = new TransactionMetadata
        {
            State = (sbyte)_state,
            TimeoutMs = _timeoutMs,
            TransactionVersion = _version,
            StartedAtMs = _startedAtMs,
            UpdatedAtMs = _updatedAtMs,
        };
        _producer.Store(metadata);
        _participants.Store(metadata);
        return metadata;
    }

    private void Restore(TransactionMetadata stored)
    {
        _exists = true;
        _state = (TransactionState)stored.State;
        _timeoutMs = stored.TimeoutMs;
        _version = stored.TransactionVersion;
        _startedAtMs = stored.StartedAtMs;
        _updatedAtMs = stored.UpdatedAtMs;
        _producer = ProducerIdentity.Restore(stored);
        _participants.Restore(stored);
        if (IsPrepared)
            _delivery = new MarkerDelivery([.. _participants.All], isDurable: true);
    }

    private DescribeTransactionsResponse.DescribedTransaction Describe() => new()
    {
        ErrorCode = _exists ? ErrorCode.None : ErrorCode.TransactionalIdNotFound,
        TransactionalId = _transactionalId,
        TransactionState = _exists ? _state.ToString() : "",
        TransactionTimeoutMs = _timeoutMs,
        TransactionStartTimeMs = _startedAtMs,
        ProducerId = _producer.Id,
        ProducerEpoch = _producer.Epoch,
        Topics = [.. _participants.Topics().Select(topic => new DescribeTransactionsResponse.TopicData
        {
            Topic = topic.Name, Partitions = topic.Partitions,
        })],
    };

    [Conditional("DEBUG")]
    private void CheckInvariants()
    {
        Debug.Assert(_exists == (_producer.Id != ProducerIdentity.NoId), "A transactional id has a producer id.");
        Debug.Assert(_exists || _state == TransactionState.Empty, "What does not exist has no transaction.");
        Debug.Assert(IsOpen == (_participants.Count > 0), "An open transaction has participants, and no other has.");
        Debug.Assert(IsPrepared == (_delivery is not null), "Participants are told of a decision, and of nothing else.");
        Debug.Assert(_delivery?.IsDone != true, "A transaction that all know to have ended is complete.");
        Debug.Assert(_state != TransactionState.Ongoing || !_producer.IsFenced(_producer.Epoch), "No producer has the epoch that fences.");
        Debug.Assert(_producer.NextId == ProducerIdentity.NoId || IsPrepared, "The next id is taken when a transaction has ended.");
        Debug.Assert(_durableEpoch <= _coordinatorEpoch, "An epoch counts once it is durable.");
    }
}
