using Arus.Coordination.Replication;
using Arus.Protocol;
using Arus.Storage;

namespace Arus.Simulation;

/// <summary>How the machine's effects are carried out.</summary>
internal sealed partial class BrokerProcess
{
    private void Carry()
    {
        (IReadOnlyList<ReplicationEffect> effects, long deadlineMs) = _machine.TakeEffects();
        List<(long Number, PartitionState Proposed)>? swaps = null;
        foreach (ReplicationEffect effect in effects)
        {
            if (effect is ReplicationEffect.Swap swap)
            {
                if (_world.Trace is not null)
                    Note($"proposes {Text.Of(swap.Proposed)}");

                (swaps ??= []).Add((swap.Number, Settled(swap.Proposed)));
                Proposed(swap);
            }
            else
            {
                Carry(effect);
            }
        }

        if (swaps is not null)
            _cluster.Database.Swap(this, swaps, results => Post(0, () => Swapped(swaps, results)));

        if (deadlineMs < _advanceAtMs)
            AdvanceAt(deadlineMs);
    }

    private void AdvanceAt(long deadlineMs)
    {
        _advanceAtMs = deadlineMs;
        if (deadlineMs == long.MaxValue)
            return;

        int late = _world.Chance(0.02) ? _world.Between(0, 40) : _world.Random.Next(2);
        Post(Broker.ToWorldDelay(deadlineMs) + late, () =>
        {
            if (_advanceAtMs != deadlineMs)
                return;

            _advanceAtMs = long.MaxValue;
            Tell((machine, now) => machine.Advance(now));
        });
    }

    private void Carry(ReplicationEffect effect)
    {
        switch (effect)
        {
            case ReplicationEffect.OpenLog open:
                ReplicaOf(open.State.Id).Open(open.State);
                break;
            case ReplicationEffect.CloseLog close:
                ReplicaOf(close.Id).Close(close.Delete);
                break;
            case ReplicationEffect.Prepare prepare:
                ReplicaOf(prepare.Id).Prepare(Prepared(prepare));
                break;
            case ReplicationEffect.AppendPushed append:
                AppendPushed(append);
                break;
            case ReplicationEffect.AdvanceHighWatermark advance:
                ReplicaOf(advance.Id).AdvanceHighWatermark(advance.HighWatermark, advance.LogStartOffset);
                break;
            case ReplicationEffect.SendSessions send:
                SendSessions(send);
                break;
            case ReplicationEffect.SendPush send:
                SendPush(send);
                break;
            case ReplicationEffect.AnswerSessions answer:
                AnswerSessions(answer);
                break;
            case ReplicationEffect.AnswerPush answer:
                AnswerPush(answer);
                break;
            case ReplicationEffect.Publish publish:
                ReplicaOf(publish.View.State.Id).Publish(publish.View);
                Remember(publish.View.State);
                break;
            case ReplicationEffect.Announce announce:
                Announce([.. announce.States]);
                break;
            case ReplicationEffect.Report report:
                Note($"reports: {report.Message}");
                break;
            default:
                throw new InvalidOperationException($"The simulation does not know {effect}.");
        }
    }

    private Replica ReplicaOf(PartitionId id)
    {
        if (!Replicas.TryGetValue(id, out Replica? replica))
            Replicas.Add(id, replica = new Replica(this, id));

        return replica;
    }

    private void Swapped(List<(long Number, PartitionState Proposed)> swaps, IReadOnlyList<SwapResult> results)
    {
        for (int i = 0; i < results.Count; i++)
        {
            SwapResult result = results[i];
            if (result.State is { } state)
                Remember(state);

            if (_cluster.Bug == Bug.SwapSettledByRead && result.Outcome == SwapOutcome.Unknown)
                SettleByRead(swaps[i]);
            else
                Tell((machine, now) => machine.SwapCompleted(result.Number, result.Outcome, result.State, now));
        }
    }

    private void Announce(List<PartitionState> states)
    {
        foreach (int member in _members.Keys)
        {
            if (member != Broker.Id)
                Deliver(member, _members[member], to => to.Learn(states));
        }
    }

    private void Deliver(int to, long life, Action<BrokerProcess> action) =>
        _cluster.Network.Send(Broker.Id, to, () => _cluster.Brokers[to].RunLife(life, action));

    private void Call<T>(int to, Action<BrokerProcess, Action<T>> deliver, Action<T?> completed)
        where T : class
    {
        long life = _members.GetValueOrDefault(to, -1);
        (int To, long Life, Action Fail) entry = default;
        Action fail = _cluster.Network.Call<T>(
            Broker.Id, to, _cluster.Plan.CallTimeoutMs,
            answer => _cluster.Brokers[to].RunLife(life, process => deliver(process, answer)),
            answer => Post(0, () =>
            {
                _calls.Remove(entry);
                completed(answer);
            }));
        entry = (to, life, fail);
        _calls.Add(entry);
    }

    private void SendSessions(ReplicationEffect.SendSessions send)
    {
        if (_world.Trace is not null)
        {
            Note($"opens sessions with {send.To}: " + string.Join(
                ", ", send.Request.Sessions.Select(s =>
                    $"{NameOf(s.TopicId, s.PartitionIndex)} epoch {s.LeaderEpoch} end {s.LogEndOffset}")));
        }

        Call<ReplicaSessionResponse>(
            send.To,
            (process, answer) => process.ReceiveSessions(Broker.Id, send.Request, answer),
            response => Tell((machine, now) => machine.SessionsAnswered(send.Call, response, now)));
    }

    private void ReceiveSessions(int from, ReplicaSessionRequest request, Action<ReplicaSessionResponse> answer)
    {
        if (!_isStarted)
            return;

        long call = ++_nextCall;
        _sessions[call] = answer;
        Tell((machine, now) => machine.ReceiveSessions(call, from, Compared(request), now));
    }

    private void AnswerSessions(ReplicationEffect.AnswerSessions answer)
    {
        foreach (ReplicaSessionResponse.OpenedSession session in answer.Response.Sessions)
            _world.Statistics.Count(session.ErrorCode == ErrorCode.None ? Rule.SessionOpened : Rule.SessionRefused);

        if (_world.Trace is not null)
        {
            Note("answers sessions: " + string.Join(
                ", ", answer.Response.Sessions.Select(s => $"{s.ErrorCode} epoch {s.LeaderEpoch} end {s.LogEndOffset}")));
        }

        if (_sessions.Remove(answer.Call, out Action<ReplicaSessionResponse>? send))
            send(answer.Response);
    }

    private string NameOf(Guid topicId, int partition) => _cluster.History(new PartitionId(topicId, partition)).Name;
}
