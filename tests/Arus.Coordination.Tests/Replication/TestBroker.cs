using Arus.Coordination.Replication;
using Arus.Protocol;

namespace Arus.Coordination.Tests.Replication;

/// <summary>One broker: its machine, its logs, which outlive it, and how it carries out effects.</summary>
internal sealed class TestBroker(TestCluster cluster, int id)
{
    private readonly Dictionary<(long Call, int Index), TestRecord[]> _pushed = [];
    private readonly Dictionary<long, Action<ReplicaPushResponse?>> _pushAnswers = [];
    private readonly Dictionary<long, Action<ReplicaSessionResponse?>> _sessionAnswers = [];
    private readonly Dictionary<PartitionId, int> _openings = [];
    private readonly Dictionary<long, long> _swapMs = [];
    private long _lastCall;

    public int Id { get; } = id;

    public long Life { get; private set; }

    public bool IsUp { get; private set; }

    /// <summary>The process neither computes nor answers, and does not know it.</summary>
    public bool IsPaused { get; set; }

    public ReplicationMachine Machine { get; private set; } = null!;

    public Dictionary<PartitionId, TestLog> Logs { get; } = [];

    public Dictionary<PartitionId, ReplicaView> Views { get; } = [];

    public List<string> Reports { get; } = [];

    /// <summary>All effects of this life, in their order.</summary>
    public List<ReplicationEffect> Effects { get; } = [];

    public bool ReachesDatabase { get; set; } = true;

    /// <summary>Swaps that take effect, but whose answers are lost; or the other way round, by what the test says.</summary>
    public Func<PartitionState, bool>? LosesSwapAnswer { get; set; }

    public bool FailsToOpen { get; set; }

    public bool NeverOpens { get; set; }

    public bool FailsToDelete { get; set; }

    /// <summary>When it proposed anything first since its effects were cleared.</summary>
    public long FirstSwapMs => Effects.OfType<ReplicationEffect.Swap>().Select(swap => _swapMs[swap.Number]).FirstOrDefault(long.MaxValue);

    /// <summary>Until a test lets it go on, nothing that is pushed becomes durable.</summary>
    public bool HoldsAppends { get; set; }

    public PartitionId? SlowPartition { get; set; }

    public List<Action> Held { get; } = [];

    public long DeadlineMs { get; private set; } = long.MaxValue;

    public void Start(int minInSync, bool uncleanElections)
    {
        IsUp = true;
        IsPaused = false;
        Life = ++cluster.Lives;
        Views.Clear();
        Effects.Clear();
        Machine = new ReplicationMachine(cluster.Options with { BrokerId = Id });
        foreach (TestLog log in Logs.Values)
            log.Restart();

        foreach (PartitionState state in cluster.Store.Rows)
            Machine.Configure(state.Id, minInSync, uncleanElections, cluster.NowMs);

        Feed(machine => machine.Start([.. cluster.Store.Rows], cluster.NowMs));
    }

    public void Stop()
    {
        IsUp = false;
        Views.Clear();
    }

    public void Feed(Action<ReplicationMachine> input)
    {
        if (!IsUp)
            return;

        if (IsPaused)
        {
            long life = Life;
            cluster.WhenResumed(this, () =>
            {
                if (Life == life)
                    Feed(input);
            });
            return;
        }

        input(Machine);
        (IReadOnlyList<ReplicationEffect> effects, DeadlineMs) = Machine.TakeEffects();
        foreach (ReplicationEffect effect in effects)
        {
            Effects.Add(effect);
            cluster.Trace?.Invoke($"{cluster.NowMs} broker {Id}: {effect}");
            Execute(effect);
        }
    }

    public void ReceivePush(int from, ReplicaPushRequest request, TestRecord[][] records, Action<ReplicaPushResponse?> answer)
    {
        long call = ++_lastCall;
        for (int i = 0; i < records.Length; i++)
            _pushed[(call, i)] = records[i];

        _pushAnswers[call] = answer;
        Feed(machine => machine.ReceivePush(call, from, request, cluster.NowMs));
    }

    public void ReceiveSessions(int from, ReplicaSessionRequest request, Action<ReplicaSessionResponse?> answer)
    {
        long call = ++_lastCall;
        _sessionAnswers[call] = answer;
        Feed(machine => machine.ReceiveSessions(call, from, request, cluster.NowMs));
    }

    /// <summary>The disk has an error: the log is closed, and what was asked of it is never answered.</summary>
    public void FailLog(PartitionId id)
    {
        _openings[id] = _openings.GetValueOrDefault(id) + 1;
        Feed(machine => machine.LogFailed(id, cluster.NowMs));
    }

    private void Execute(ReplicationEffect effect)
    {
        switch (effect)
        {
            case ReplicationEffect.OpenLog open:
                OfLog(open.State.Id, () => Open(open.State));
                break;
            case ReplicationEffect.CloseLog close:
                if (close.Delete && FailsToDelete)
                    Later(() => FailLog(close.Id));
                else if (close.Delete)
                    Logs.Remove(close.Id);
                break;
            case ReplicationEffect.Prepare prepare:
                OfLog(prepare.Id, () =>
                {
                    Logs[prepare.Id].Prepare(prepare.Epoch, prepare.TruncateTo, prepare.RestartAt, prepare.RenewLogId);
                    Feed(machine => machine.Prepared(prepare.Id, cluster.NowMs));
                });
                break;
            case ReplicationEffect.AppendPushed append:
                Append(append);
                break;
            case ReplicationEffect.AdvanceHighWatermark advance:
                Logs[advance.Id].AdvanceHighWatermark(advance.HighWatermark, advance.LogStartOffset);
                cluster.CheckWatermark(this, advance.Id, advance.HighWatermark);
                break;
            case ReplicationEffect.Swap swap:
                Swap(swap);
                break;
            case ReplicationEffect.Publish publish:
                Views[publish.View.State.Id] = publish.View;
                cluster.CheckVerdicts(this, publish.View);
                break;
            case ReplicationEffect.Report report:
                Reports.Add(report.Message);
                break;
            case ReplicationEffect.Announce announce:
                foreach (TestBroker other in cluster.Others(this))
                    cluster.Send(this, other, () => other.Feed(machine => machine.Learn(announce.States, cluster.NowMs)));

                break;
            default:
                Talk(effect);
                break;
        }
    }

    private void Talk(ReplicationEffect effect)
    {
        long life = Life;
        switch (effect)
        {
            case ReplicationEffect.SendSessions send:
                cluster.Call(this, send.To, (to, answer) => to.ReceiveSessions(Id, send.Request, answer),
                    (ReplicaSessionResponse? response) =>
                        Alive(life, machine => machine.SessionsAnswered(send.Call, response, cluster.NowMs)));
                break;
            case ReplicationEffect.SendPush send:
                TestRecord[][] records = [.. send.Request.Partitions.Select((pushed, i) => Read(pushed, CountIn(send, i)))];
                int caughtUp = records.Take(send.CatchUp).Sum(some => some.Length) * TestCluster.RecordBytes;
                for (int i = 0; i < records.Length; i++)
                    send.Request.Partitions[i].SegmentCount = records[i].Length > 0 ? 1 : 0;

                cluster.Call(this, send.To, (to, answer) => to.ReceivePush(Id, send.Request, records, answer),
                    (ReplicaPushResponse? response) =>
                        Alive(life, machine => machine.PushAnswered(send.Call, response, cluster.NowMs, caughtUp)));
                break;
            case ReplicationEffect.AnswerSessions answer:
                _sessionAnswers[answer.Call](answer.Response);
                break;
            case ReplicationEffect.AnswerPush answer:
                _pushAnswers[answer.Call](answer.Response);
                break;
            default:
                Assert.Fail($"unknown effect {effect}");
                break;
        }
    }

    private void Open(PartitionState state)
    {
        if (NeverOpens)
            return;

        if (FailsToOpen)
        {
            Feed(machine => machine.LogFailed(state.Id, cluster.NowMs));
            return;
        }

        if (!Logs.TryGetValue(state.Id, out TestLog? log))
            Logs.Add(state.Id, log = state.IsShared ? cluster.SharedLog(state.Id) : new TestLog());

        Feed(machine => machine.LogOpened(state.Id, log, cluster.NowMs));
    }

    /// <summary>How many records an entry of a push may bring; the first replica that is not in sync takes all that those may.</summary>
    private int CountIn(ReplicationEffect.SendPush send, int index)
    {
        (int first, int end) = (send.CatchUp.Start.Value, send.CatchUp.End.Value);
        return index < first || index >= end ? cluster.RecordsInPush
            : index > first ? 0
            : Math.Clamp(send.CatchUpBytes / TestCluster.RecordBytes, 1, cluster.RecordsInPush);
    }

    private TestRecord[] Read(ReplicaPushRequest.PushedPartition pushed, int count)
    {
        var id = new PartitionId(pushed.TopicId, pushed.PartitionIndex);
        if (pushed.IsResigned || Logs[id].FencedEpoch > pushed.LeaderEpoch)
            return [];

        return Logs[id].Read(pushed.PreviousEndOffset, count);
    }

    private void Append(ReplicationEffect.AppendPushed append)
    {
        TestRecord[] records = _pushed[(append.Call, append.Index)];
        void Complete()
        {
            Logs[append.Id].Append(records);
            Feed(machine => machine.Appended(append.Id, cluster.NowMs));
        }

        if (HoldsAppends || append.Id == SlowPartition)
            Held.Add(Complete);
        else
            OfLog(append.Id, Complete);
    }

    private void Swap(ReplicationEffect.Swap swap)
    {
        _swapMs[swap.Number] = cluster.NowMs;
        Later(() =>
        {
            if (!ReachesDatabase)
            {
                Later(() => Feed(machine => machine.SwapCompleted(swap.Number, SwapOutcome.Unknown, null, cluster.NowMs)));
                return;
            }

            (SwapOutcome outcome, PartitionState? state) = cluster.Store.Swap(swap.Proposed);
            if (LosesSwapAnswer?.Invoke(swap.Proposed) == true)
                (outcome, state) = (SwapOutcome.Unknown, null);

            Later(() => Feed(machine => machine.SwapCompleted(swap.Number, outcome, state, cluster.NowMs)));
        });
    }

    private void Later(Action action)
    {
        long life = Life;
        cluster.After(1, () =>
        {
            if (IsUp && Life == life)
                action();
        });
    }

    /// <summary>What a log does in a millisecond, unless it fails before.</summary>
    private void OfLog(PartitionId id, Action action)
    {
        int opening = _openings.GetValueOrDefault(id);
        Later(() =>
        {
            if (_openings.GetValueOrDefault(id) == opening)
                action();
        });
    }

    private void Alive(long life, Action<ReplicationMachine> input)
    {
        if (IsUp && Life == life)
            Feed(input);
    }
}
