using Arus.Grains;
using Arus.Protocol;

namespace Arus.Client;

/// <summary>The transactions of one producer: what it may do now, and the calls to its coordinator. Thread-safe.</summary>
/// <remarks>
/// Under the protocol's version 2 (KIP-890) partitions and groups make themselves participants when the first record or offset comes, and
/// each end of a transaction raises the producer's epoch.
/// </remarks>
internal sealed class TransactionManager(IGrainFactory grains, GrainRetry retry, ProducerOptions options, Func<Task> flush)
{
    /// <summary>
    /// How long to wait before something is asked for again that the coordinator refused because it still completes the transaction before;
    /// that takes about as long as the markers need.
    /// </summary>
    public static readonly TimeSpan ConcurrentPause = TimeSpan.FromMilliseconds(20);

    private const short ProtocolVersion = 2;

    private readonly ITransactionGrain _coordinator =
        grains.GetGrain<ITransactionGrain>(GroupKey.Format(options.TransactionalId!));
    private readonly Lock _gate = new();
    private volatile TransactionState _state;
    private ArusException? _failure;
    private (long Id, short Epoch) _producer = (RecordBatchHeader.NoProducerId, RecordBatchHeader.NoProducerEpoch);
    private bool _hasParticipants;

    /// <summary>What appends to partitions say of the transaction.</summary>
    public AppendTransaction OfAppends { get; } = new(options.TransactionalId!, TransactionSupport.Added);

    /// <summary>The producer id and epoch under which batches of the open transaction go.</summary>
    public (long Id, short Epoch) Producer
    {
        get
        {
            lock (_gate)
                return _producer;
        }
    }

    private bool CanAbort =>
        _state is TransactionState.Open or TransactionState.Committing or TransactionState.Failed or TransactionState.Aborting;

    /// <summary>Begins the sequence of a partition anew with each transaction.</summary>
    public void SetProducer(PartitionSequence sequence)
    {
        (long id, short epoch) = Producer;
        sequence.SetProducer(id, epoch);
    }

    /// <summary>Begins, and fences whoever had the transactional id before; an open transaction of theirs is aborted.</summary>
    public async Task InitAsync(CancellationToken cancellationToken)
    {
        if (_state != TransactionState.Uninitialized)
            throw Refusal() ?? new InvalidOperationException("The transactions of this producer are initialized already.");

        var request = new InitProducerIdRequest
        {
            TransactionalId = options.TransactionalId, TransactionTimeoutMs = (int)options.TransactionTimeout.TotalMilliseconds,
        };
        InitProducerIdResponse response = await retry.CallAsync(
            () => _coordinator.InitProducerIdAsync(request), answer => answer.ErrorCode, cancellationToken).ConfigureAwait(false);
        response.ErrorCode.ThrowIfError($"Initializing the transactions of '{options.TransactionalId}'");
        lock (_gate)
        {
            _producer = (response.ProducerId, response.ProducerEpoch);
            _state = TransactionState.Ready;
        }
    }

    public void Begin()
    {
        lock (_gate)
        {
            if (_state != TransactionState.Ready)
                throw Refusal() ?? new InvalidOperationException("A transaction is open already.");

            _state = TransactionState.Open;
        }
    }

    /// <exception cref="InvalidOperationException">No transaction is open.</exception>
    /// <exception cref="ArusException">The transaction, or the producer, has failed.</exception>
    public void ThrowIfNotOpen()
    {
        if (_state != TransactionState.Open)
            ThrowRefusal();
    }

    /// <summary>
    /// A batch is about to be sent. Returns why it must not be: the transaction has failed or is being aborted; null if it may.
    /// </summary>
    public ArusException? BeginSend()
    {
        lock (_gate)
        {
            if (_state is TransactionState.Open or TransactionState.Committing)
            {
                _hasParticipants = true;
                return null;
            }

            return _failure ?? new TransactionAbortableException(
                ErrorCode.TransactionAbortable, "The record was not sent before its transaction ended.");
        }
    }

    /// <summary>A batch has failed: the transaction can only be aborted, or not even that if another producer has taken over.</summary>
    public void NoteSendFailure(ErrorCode code, string message)
    {
        if (code == ErrorCode.ProducerFenced)
            Fail(Fenced(code));
        else
            Fail(new TransactionAbortableException(code, $"A record of the transaction was not appended; abort it. {message}"));
    }

    /// <summary>Commits offsets of a group with the transaction.</summary>
    public async Task SendOffsetsAsync(
        IReadOnlyCollection<TopicPartitionOffset> offsets, ConsumerGroupMetadata consumer, CancellationToken cancellationToken)
    {
        ThrowIfNotOpen();
        (long id, short epoch) = Producer;
        lock (_gate)
            _hasParticipants = true;

        var transaction = new CommittingTransaction(options.TransactionalId!, id, epoch, AddsGroup: true);
        var member = new MemberIdentity(consumer.MemberId, consumer.GroupInstanceId, consumer.GenerationId);
        CommittedOffset[] all = [.. offsets.Select(offset => new CommittedOffset(offset.Partition, offset.Offset, LeaderEpoch: -1, ""))];
        ErrorCode[] errors = await retry.CallAsync(
            () => grains.GetGroup(consumer.GroupId).CommitOffsetsAsync(consumer.GroupId, member, all, transaction),
            answers => answers.FirstOrDefault(error => error.IsRetriable()), cancellationToken).ConfigureAwait(false);
        switch (errors.FirstOrDefault(error => error != ErrorCode.None))
        {
            case ErrorCode.None:
                return;
            case ErrorCode.ProducerFenced or ErrorCode.InvalidProducerEpoch:
                throw Fail(Fenced(ErrorCode.ProducerFenced));
            case (ErrorCode.IllegalGeneration or ErrorCode.UnknownMemberId or ErrorCode.FencedInstanceId) and var code:
                Fail(new TransactionAbortableException(code, "The consumer is not a member of the group's generation any more; abort."));
                throw new CommitFailedException(code, $"The offsets of group '{consumer.GroupId}' were not committed: {code}.");
            case var code when code.IsRetriable():
                throw new ArusException(code, $"The offsets of group '{consumer.GroupId}' were not committed in time; send them again.");
            case var code:
                throw Fail(new TransactionAbortableException(
                    code, $"The offsets of group '{consumer.GroupId}' were refused with {code}; abort the transaction."));
        }
    }

    /// <summary>
    /// Commits what was produced and the offsets that were sent. If that is not answered in time the outcome is not known; another call
    /// finds out.
    /// </summary>
    public async Task CommitAsync(CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (_state is not (TransactionState.Open or TransactionState.Committing or TransactionState.CommitInDoubt))
                ThrowRefusal();

            _state = _state == TransactionState.CommitInDoubt ? _state : TransactionState.Committing;
        }

        if (_state == TransactionState.Committing)
            await flush().WaitAsync(cancellationToken).ConfigureAwait(false);

        await EndAsync(TransactionState.CommitInDoubt, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Aborts: what was produced is skipped by readers of committed records. Records that were not sent yet fail.</summary>
    public async Task AbortAsync(CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (!CanAbort)
                ThrowRefusal();

            _state = TransactionState.Aborting;
            _failure = null;
        }

        await flush().WaitAsync(cancellationToken).ConfigureAwait(false);
        await EndAsync(TransactionState.Aborting, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Aborts what is open, as far as that is possible, since the producer is disposed.</summary>
    public async Task CloseAsync()
    {
        if (!CanAbort)
            return;

        try
        {
            await AbortAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (ArusException)
        {
            // The transaction ends when its time is up.
        }
    }

    /// <param name="ending">The state until the coordinator has answered: a commit, or an abort.</param>
    private async Task EndAsync(TransactionState ending, CancellationToken cancellationToken)
    {
        var request = new EndTxnRequest
        {
            TransactionalId = options.TransactionalId!, Committed = ending == TransactionState.CommitInDoubt,
        };
        lock (_gate)
        {
            if (_state is TransactionState.Failed or TransactionState.Fatal)
                ThrowRefusal();

            _state = _hasParticipants ? ending : TransactionState.Ready;
            if (!_hasParticipants)
                return;

            (request.ProducerId, request.ProducerEpoch) = _producer;
        }

        EndTxnResponse response = await retry.CallAsync(
            () => _coordinator.EndAsync(request, ProtocolVersion), answer => answer.ErrorCode, cancellationToken).ConfigureAwait(false);
        switch (response.ErrorCode)
        {
            case ErrorCode.None:
                lock (_gate)
                {
                    _producer = response.ProducerId >= 0 ? (response.ProducerId, response.ProducerEpoch) : _producer;
                    _hasParticipants = false;
                    _state = TransactionState.Ready;
                }

                return;
            case ErrorCode.ProducerFenced or ErrorCode.InvalidProducerEpoch:
                throw Fail(Fenced(ErrorCode.ProducerFenced));
            case ErrorCode.TransactionAbortable when request.Committed:
                throw Fail(new TransactionAbortableException(ErrorCode.TransactionAbortable, "The transaction can only be aborted."));
            case var code when code.IsRetriable():
                throw new ArusException(code, "The transaction's end was not acknowledged in time; end it again in the same way.");
            case var code:
                throw Fail(new ArusException(code, $"The transaction could not be ended ({code}); the producer cannot go on."));
        }
    }

    /// <summary>Takes note of the first failure of a transaction, or of one that is worse.</summary>
    private ArusException Fail(ArusException failure)
    {
        lock (_gate)
        {
            if (failure is not TransactionAbortableException)
                (_state, _failure) = (TransactionState.Fatal, failure);
            else if (_state is TransactionState.Open or TransactionState.Committing or TransactionState.CommitInDoubt)
                (_state, _failure) = (TransactionState.Failed, failure);

            return failure;
        }
    }

    private void ThrowRefusal() => throw Refusal() ?? new InvalidOperationException("No transaction can begin or end here.");

    /// <summary>Why the producer can do nothing but what ends the state; null in a state in which it can.</summary>
    private Exception? Refusal()
    {
        lock (_gate)
        {
            return _state switch
            {
                TransactionState.Uninitialized => new InvalidOperationException(
                    "The transactions of this producer are not initialized: await InitTransactionsAsync first."),
                TransactionState.Ready => new InvalidOperationException("No transaction is open: call BeginTransaction first."),
                TransactionState.Committing or TransactionState.Aborting =>
                    new InvalidOperationException("The transaction is being ended."),
                TransactionState.CommitInDoubt => new InvalidOperationException(
                    "It is not known whether the transaction is committed: await CommitTransactionAsync again."),
                TransactionState.Failed => new TransactionAbortableException(_failure!.Code, _failure.Message, _failure),
                TransactionState.Fatal when _failure!.Code == ErrorCode.ProducerFenced => Fenced(_failure.Code),
                TransactionState.Fatal => new ArusException(_failure.Code, _failure.Message, _failure),
                _ => null,
            };
        }
    }

    private ProducerFencedException Fenced(ErrorCode code) => new(
        code,
        $"Another producer has begun with transactional.id '{options.TransactionalId}', or a transaction of this one took longer than "
        + "transaction.timeout.ms: dispose it.");
}
