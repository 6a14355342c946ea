using Arus.Protocol;

namespace Arus.Coordination.Tests.Transactions;

/// <summary>Hosts one transactional id as the grain does, step by step: writes and markers wait until a test lets them go.</summary>
internal sealed class TransactionHost
{
    public const int TimeoutMs = 60_000;

    private readonly TransactionOptions _options;
    private readonly Dictionary<long, IApiMessage> _replies = [];
    private readonly Queue<MarkerToSend> _markers = new();
    private TransactionRecords? _inFlight;
    private byte[]? _stored;
    private long _lastCall;
    private long _nextProducerId = 100;

    public TransactionHost(TransactionMetadata? stored = null, int coordinatorEpoch = 0)
    {
        _options = new TransactionOptions(BrokerConfig.Default);
        _stored = stored is null ? null : DataMessages.WriteVersioned(stored);
        StoredEpoch = coordinatorEpoch;
        Machine = Load();
        Drain();
    }

    public TransactionCoordinator Machine { get; private set; }

    public long Now { get; private set; } = 1_000_000;

    /// <summary>Writes are taken, and reported by <see cref="CompleteWrite"/>.</summary>
    public bool HoldWrites { get; set; }

    /// <summary>No producer id is supplied.</summary>
    public bool HoldProducerIds { get; set; }

    public int Writes { get; private set; }

    public int StoredEpoch { get; private set; }

    public long Deadline { get; private set; }

    public TransactionMetadata? Stored => _stored is null ? null : DataMessages.ReadVersioned<TransactionMetadata>(_stored);

    public DescribeTransactionsResponse.DescribedTransaction Description =>
        Ask<DescribeTransactionsResponse>((machine, call) => machine.Receive(call, new DescribeTransactionsRequest(), default, Now))!
            .TransactionStates[0];

    /// <summary>What a producer is answered.</summary>
    public static (ErrorCode Error, long Id, short Epoch) Given(ErrorCode error, long id, short epoch) => (error, id, epoch);

    public static TransactionParticipant P(int partition, string topic = "t") => new(topic, partition, Guid.Empty);

    public (ErrorCode Error, long Id, short Epoch) Init(long id = -1, short epoch = -1, int timeoutMs = TimeoutMs)
    {
        var request = new InitProducerIdRequest { TransactionTimeoutMs = timeoutMs, ProducerId = id, ProducerEpoch = epoch };
        InitProducerIdResponse response =
            Ask<InitProducerIdResponse>((machine, call) => machine.Receive(call, request, default, Now), supply: true)!;
        return (response.ErrorCode, response.ProducerId, response.ProducerEpoch);
    }

    /// <returns>Names the call (<see cref="ReplyTo"/>).</returns>
    public long BeginAdd(long id, short epoch, params TransactionParticipant[] participants) =>
        Begin((machine, call) => machine.Add(call, id, epoch, participants, Now));

    public ErrorCode? Add(long id, short epoch, params TransactionParticipant[] participants) =>
        ReplyTo(BeginAdd(id, epoch, participants));

    public ErrorCode? Verify(long id, short epoch, params TransactionParticipant[] participants) =>
        ReplyTo(Begin((machine, call) => machine.Verify(call, id, epoch, participants)));

    /// <returns>Null while it is not answered.</returns>
    public (ErrorCode Error, long Id, short Epoch)? End(long id, short epoch, bool commit, short version)
    {
        var request = new EndTxnRequest { ProducerId = id, ProducerEpoch = epoch, Committed = commit };
        EndTxnResponse? response =
            Ask<EndTxnResponse>((machine, call) => machine.End(call, request, version, Now), supply: true);
        return response is null ? null : (response.ErrorCode, response.ProducerId, response.ProducerEpoch);
    }

    public ErrorCode? ReplyTo(long call) =>
        _replies.GetValueOrDefault(call) is AddOffsetsToTxnResponse response ? response.ErrorCode : null;

    /// <summary>The markers that the machine wants sent and no test has taken yet.</summary>
    public MarkerToSend[] TakeMarkers()
    {
        MarkerToSend[] markers = [.. _markers];
        _markers.Clear();
        return markers;
    }

    public void Answer(MarkerToSend marker, MarkerOutcome outcome = MarkerOutcome.Written)
    {
        Machine.MarkerSent(marker, outcome, Now);
        Drain();
    }

    public void AnswerAll() => Array.ForEach(TakeMarkers(), marker => Answer(marker));

    /// <summary>What stays to be done at the deadlines on the way is done at these.</summary>
    public void AdvanceBy(long ms)
    {
        long end = Now + ms;
        while (Deadline <= end)
        {
            Now = Math.Max(Now, Deadline);
            Machine.Advance(Now);
            Drain();
        }

        Now = end;
    }

    public void CompleteWrite()
    {
        TransactionRecords write = _inFlight ?? throw new InvalidOperationException("No write is under way.");
        _inFlight = null;
        _stored = write.Metadata is null ? null : DataMessages.WriteVersioned(write.Metadata);
        StoredEpoch = write.CoordinatorEpoch;
        Writes++;
        Machine.Written();
        Drain();
    }

    /// <summary>Another coordinator claims what is stored.</summary>
    public void Restart()
    {
        _inFlight = null;
        _markers.Clear();
        StoredEpoch += _stored is null ? 0 : 1;
        Machine = Load();
        Machine.Advance(Now);
        Drain();
    }

    private TransactionCoordinator Load() => new("id", _options, StoredEpoch, Stored);

    private TResponse? Ask<TResponse>(Action<TransactionCoordinator, long> input, bool supply = false)
        where TResponse : class, IApiMessage
    {
        if (supply && !HoldProducerIds && Machine.NeedsProducerId)
            Machine.SupplyProducerId(_nextProducerId++);

        return (TResponse?)_replies.GetValueOrDefault(Begin(input));
    }

    private long Begin(Action<TransactionCoordinator, long> input)
    {
        input(Machine, ++_lastCall);
        Drain();
        return _lastCall;
    }

    private void Drain()
    {
        Effects<TransactionRecords> effects = Machine.TakeEffects(canWrite: _inFlight is null);
        Deadline = effects.Deadline;
        foreach ((long call, IApiMessage message) in effects.Replies)
            _replies.Add(call, message);

        while (Machine.TryTakeMarker(out MarkerToSend marker))
            _markers.Enqueue(marker);

        if (effects.Records is not null)
        {
            _inFlight = effects.Records;
            if (!HoldWrites)
                CompleteWrite();
        }
    }
}
