using System.Diagnostics.CodeAnalysis;
using Arus.Coordination.Tests.Groups;
using Arus.Protocol;

namespace Arus.Coordination.Tests.Transactions;

/// <summary>A mistake that the simulation has to find.</summary>
internal enum TransactionFault
{
    None,

    /// <summary>A marker of which nothing was heard counts as written.</summary>
    MarkerForgotten,

    /// <summary>Participants take markers of earlier coordinator epochs.</summary>
    LateMarkerTaken,

    /// <summary>Participants take records of earlier producer epochs.</summary>
    EpochNotFenced,

    /// <summary>A coordinator that another has overtaken verifies, and fences.</summary>
    NotOwner,

    /// <summary>A record is appended though a marker was written while it was verified.</summary>
    NoVerificationGuard,
}

/// <summary>
/// A transactional id under trouble: two producers that fence each other, of both versions of the protocol; coordinators that die, or live
/// two at a time; calls that are lost, late and doubled. Every transaction has one outcome at all its participants, the one that its
/// producer was told, and when the trouble is over none is open.
/// </summary>
internal sealed class TransactionSimulation
{
    private const int TroubleMs = 60_000;
    private const int SettleMs = 60_000;
    private const int StepMs = 1_000;
    private const int CallTimeoutMs = 400;
    private const int TransactionTimeoutMs = 5_000;

    private readonly SimulatedTransactionStorage _storage = new();
    private readonly List<SimulatedTransactionCoordinator> _coordinators = [];
    private readonly Dictionary<TransactionParticipant, SimulatedParticipant> _participants;
    private readonly Dictionary<int, bool> _ends = [];
    private readonly Dictionary<int, bool> _decisions = [];
    private readonly List<(SimulatedRecord Record, SimulatedParticipant Participant)> _acknowledged = [];
    private Exception? _failure;
    private long _lastProducerId = 100;
    private int _lastTransaction;
    private int _running;

    public TransactionSimulation(int seed, TransactionFault fault = TransactionFault.None)
    {
        Fault = fault;
        World = new SimulatedWorld(seed);
        _participants = Enumerable.Range(0, 3).Select(i => new TransactionParticipant("t", i, Guid.Empty))
            .Append(TransactionParticipant.Group("g")).ToDictionary(name => name, name => new SimulatedParticipant(this, name));
    }

    public SimulatedWorld World { get; }

    public TransactionFault Fault { get; }

    public bool IsInTrouble => World.Now < TroubleMs;

    public IEnumerable<SimulatedParticipant> Participants => _participants.Values;

    public int Committed => _decisions.Values.Count(isCommit => isCommit);

    public void Run()
    {
        StartCoordinator();
        Start(TroubleAsync);
        Start(new SimulatedProducer(this, "A").RunAsync);
        Start(new SimulatedProducer(this, "B").RunAsync);
        for (long end = StepMs; end <= TroubleMs + SettleMs; end += StepMs)
        {
            World.RunUntil(end);
            if (_failure is not null)
                throw _failure;
        }

        CheckSettled();
    }

    public SimulatedParticipant Participant(TransactionParticipant name) => _participants[name];

    public long NextProducerId() => ++_lastProducerId;

    public int NextTransaction() => ++_lastTransaction;

    [SuppressMessage("Design", "CA1031:Do not catch general exception types", Justification = "Run throws it.")]
    public async void Start(Func<Task> run)
    {
        _running++;
        try
        {
            await run();
        }
        catch (Exception failure)
        {
            _failure ??= failure;
        }

        _running--;
    }

    /// <summary>Null if no answer came in time; the call may still be carried out then, and more than once.</summary>
    /// <param name="target">Carries it out.</param>
    /// <param name="mayBeLate">Whether it may come after the caller has given it up.</param>
    /// <param name="mayBeDoubled">Whether it may come twice, even if it was answered, which Orleans does not do to a call.</param>
    /// <param name="patienceMs">How long the caller waits.</param>
    public async Task<T?> CallAsync<T>(Func<Task<T?>> target, bool mayBeLate, bool mayBeDoubled, int patienceMs = CallTimeoutMs)
        where T : class
    {
        var answer = new TaskCompletionSource<T?>();
        World.After(patienceMs, () => answer.TrySetResult(null));
        for (int copies = mayBeDoubled && IsInTrouble && World.Chance(0.1) ? 2 : 1; copies > 0; copies--)
        {
            bool isLate = mayBeLate && IsInTrouble && World.Chance(0.1);
            if (!IsInTrouble || !World.Chance(0.03))
                World.After(World.Random.Next(1, isLate ? 3_000 : 20), () => Start(() => CarryOutAsync(target, answer)));
        }

        return await answer.Task;
    }

    public async Task<SimulatedAnswer?> InitializeAsync()
    {
        var request = new InitProducerIdRequest { TransactionTimeoutMs = TransactionTimeoutMs, ProducerId = -1, ProducerEpoch = -1 };
        return await Coordinator().AskAsync<InitProducerIdResponse>(
            (machine, call) => machine.Receive(call, request, default, World.Now)) is { } response
            ? new SimulatedAnswer(response.ErrorCode, response.ProducerId, response.ProducerEpoch)
            : null;
    }

    public async Task<SimulatedAnswer?> AddAsync(long id, short epoch, TransactionParticipant participant) =>
        Answer(await Coordinator().AskAsync<AddOffsetsToTxnResponse>(
            (machine, call) => machine.Add(call, id, epoch, [participant], World.Now)));

    public async Task<SimulatedAnswer?> VerifyAsync(long id, short epoch, TransactionParticipant participant) =>
        Answer(await Coordinator().AskAsync<AddOffsetsToTxnResponse>(
            (machine, call) => machine.Verify(call, id, epoch, [participant])));

    public async Task<SimulatedAnswer?> EndAsync(long id, short epoch, bool commit, short version)
    {
        var request = new EndTxnRequest { ProducerId = id, ProducerEpoch = epoch, Committed = commit };
        return await Coordinator().AskAsync<EndTxnResponse>(
            (machine, call) => machine.End(call, request, version, World.Now)) is { } response
            ? new SimulatedAnswer(response.ErrorCode, response.ProducerId, response.ProducerEpoch)
            : null;
    }

    public void Acknowledge(SimulatedRecord record, SimulatedParticipant participant) => _acknowledged.Add((record, participant));

    /// <summary>A producer was told how its transaction ended.</summary>
    public void NoteDecision(int transaction, bool commit)
    {
        World.Note($"{transaction} was {(commit ? "committed" : "aborted")}");
        _decisions.Add(transaction, commit);
        World.Require(
            !_ends.TryGetValue(transaction, out bool end) || end == commit, () => $"{transaction} ended otherwise than was told");
    }

    public void NoteEnd(int transaction, bool commit, TransactionParticipant participant)
    {
        World.Require(
            _ends.TryAdd(transaction, commit) || _ends[transaction] == commit, () => $"{transaction} ended otherwise in {participant}");
        World.Require(
            !_decisions.TryGetValue(transaction, out bool told) || told == commit, () => $"{transaction} ended otherwise than was told");
    }

    private static SimulatedAnswer? Answer(AddOffsetsToTxnResponse? response) =>
        response is null ? null : new SimulatedAnswer(response.ErrorCode);

    private async Task CarryOutAsync<T>(Func<Task<T?>> target, TaskCompletionSource<T?> answer)
        where T : class
    {
        T? result = await target();
        if (!IsInTrouble || !World.Chance(0.03))
            World.After(World.Random.Next(1, 20), () => answer.TrySetResult(result));
    }

    /// <summary>Most callers reach the last coordinator, some one that it has overtaken.</summary>
    private SimulatedTransactionCoordinator Coordinator()
    {
        if (_coordinators.Count == 0 || !_coordinators[^1].IsAlive)
            StartCoordinator();

        _coordinators.RemoveAll(coordinator => !coordinator.IsAlive && coordinator != _coordinators[^1]);
        return World.Chance(0.7) ? _coordinators[^1] : _coordinators[World.Random.Next(_coordinators.Count)];
    }

    private void StartCoordinator() => _coordinators.Add(new(this, _storage, $"coordinator at {World.Now}"));

    private async Task TroubleAsync()
    {
        while (IsInTrouble)
        {
            await World.Delay(World.Random.Next(1, 2_000));
            if (World.Chance(0.5))
                _coordinators[^1].Kill("killed");

            if (World.Chance(0.5))
                StartCoordinator();
        }

        // Somebody sees to it that an open transaction has a coordinator.
        _coordinators.ForEach(coordinator => coordinator.Kill("the trouble ends"));
        StartCoordinator();
    }

    private void CheckSettled()
    {
        World.Require(_running == 0, () => $"{_running} calls or producers go on");
        World.Require(_coordinators[^1].Machine.IsIdle, () => $"the transaction is {_coordinators[^1].Machine.State}");
        foreach (SimulatedParticipant participant in Participants)
            World.Require(!participant.HasOpenTransaction, () => $"{participant.Name} has a transaction that hangs");

        foreach ((SimulatedRecord record, SimulatedParticipant participant) in _acknowledged)
        {
            bool isEnded = participant.Ended.TryGetValue(record, out bool end);
            World.Require(isEnded, () => $"{record} was lost in {participant.Name}");
            World.Require(
                !_decisions.TryGetValue(record.Transaction, out bool told) || told == end, () => $"{record} ended otherwise than was told");
        }
    }
}
