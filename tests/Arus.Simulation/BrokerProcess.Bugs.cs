using Arus.Coordination.Replication;
using Arus.Protocol;
using Arus.Storage;

namespace Arus.Simulation;

/// <summary>What a deliberate <see cref="Bug"/> makes this process do. Without one, nothing here does anything.</summary>
internal sealed partial class BrokerProcess
{
    /// <summary>Of <see cref="Bug.ElectionReadsEndBeforeFence"/>: the epoch that is stood for, and the end that was read before.</summary>
    private readonly Dictionary<PartitionId, (int Epoch, long End)> _endsRead = [];

    /// <summary>Of <see cref="Bug.SwapSettledByRead"/>: versions that the machine was told, and what they are in the database.</summary>
    private readonly Dictionary<PartitionId, (long Told, long Stored)> _toldVersions = [];

    /// <summary>The row as it reads now is taken for the outcome of a swap that may yet take effect.</summary>
    private void SettleByRead((long Number, PartitionState Proposed) swap) =>
        _cluster.Database.Execute(Broker.Id, _ => _cluster.Database.Row(swap.Proposed.Id), row => Post(0, () =>
        {
            if (row is not null && row.Version == swap.Proposed.Version)
            {
                _toldVersions[row.Id] = (row.Version + 1, row.Version);
                row = row with { Version = row.Version + 1 };
            }

            Tell((machine, now) => machine.SwapCompleted(swap.Number, row is null ? SwapOutcome.Unknown : SwapOutcome.Lost, row, now));
        }));

    private PartitionState Settled(PartitionState proposed) =>
        _toldVersions.TryGetValue(proposed.Id, out (long Told, long Stored) version) && version.Told == proposed.Version
            ? proposed with { Version = version.Stored }
            : proposed;

    private void Proposed(ReplicationEffect.Swap swap)
    {
        PartitionState proposed = swap.Proposed;
        bool isElection = proposed.Leader == Broker.Id && proposed.LeaderEpoch > _image[proposed.Id].LeaderEpoch;
        if (_cluster.Bug == Bug.ElectionReadsEndBeforeFence && isElection && Replicas.GetValueOrDefault(proposed.Id)?.Log is { } log)
            ReadEnd(proposed.Id, proposed.LeaderEpoch, log);

        bool isGrowth = proposed.Leader == Broker.Id && !isElection && proposed.Isr.Length > _image[proposed.Id].Isr.Length;
        if (_cluster.Bug == Bug.GrowthCountedBeforeSettled && isGrowth)
        {
            PartitionState settled = proposed with { Version = proposed.Version + 1 };
            Post(0, () => Tell((machine, now) => machine.SwapCompleted(swap.Number, SwapOutcome.Won, settled, now)));
        }
    }

    /// <summary>The ends of logs whose leaders are dead are read, and records of those leaders taken until the election is won.</summary>
    private void ReadEnds()
    {
        if (_cluster.Bug != Bug.ElectionReadsEndBeforeFence)
            return;

        foreach ((PartitionId id, Replica replica) in Replicas)
        {
            if (replica.Log is { } log && _image[id] is { Leader: >= 0 } state && !_members.ContainsKey(state.Leader))
                ReadEnd(id, state.LeaderEpoch + 1, log);
        }
    }

    private void ReadEnd(PartitionId id, int epoch, SimulatedLog log)
    {
        if (!_endsRead.TryGetValue(id, out (int Epoch, long End) read) || read.Epoch != epoch)
            _endsRead[id] = (epoch, log.DurableEndOffset);
    }

    /// <summary>What was appended after the end was read is overwritten.</summary>
    private ReplicationEffect.Prepare Prepared(ReplicationEffect.Prepare prepare) =>
        _endsRead.Remove(prepare.Id, out (int Epoch, long End) read) && read.Epoch == prepare.Epoch
            && prepare is { TruncateTo: < 0, RestartAt: < 0 } && Replicas[prepare.Id].Log is { } log && read.End < log.LogEndOffset
                ? prepare with { TruncateTo = read.End }
                : prepare;

    /// <summary>Takes the entries that a candidate refuses, and would have to.</summary>
    private Dictionary<int, ReplicaPushResponse.PushResult>? TakeAsCandidate(
        ref ReplicaPushRequest request, ref ReadOnlyMemory<byte>[][] records)
    {
        Dictionary<int, ReplicaPushResponse.PushResult>? taken = null;
        for (int i = 0; i < request.Partitions.Length && _endsRead.Count > 0; i++)
        {
            ReplicaPushRequest.PushedPartition pushed = request.Partitions[i];
            var id = new PartitionId(pushed.TopicId, pushed.PartitionIndex);
            if (_endsRead.TryGetValue(id, out (int Epoch, long End) read) && pushed.LeaderEpoch < read.Epoch && records[i].Length > 0
                && Replicas[id].Log is { Failure: null } log && log.LogEndOffset == pushed.PreviousEndOffset)
            {
                _ = log.Append(records[i], pushed.LeaderEpoch, AppendOrigin.Replica);
                log.RunIo();
                (taken ??= [])[i] = new ReplicaPushResponse.PushResult { LogEndOffset = log.DurableEndOffset };
            }
        }

        if (taken is not null)
        {
            int[] left = [.. Enumerable.Range(0, records.Length).Where(i => !taken.ContainsKey(i))];
            ReplicaPushRequest whole = request;
            ReadOnlyMemory<byte>[][] all = records;
            request = new ReplicaPushRequest { SenderLife = whole.SenderLife, Partitions = [.. left.Select(i => whole.Partitions[i])] };
            records = [.. left.Select(i => all[i])];
        }

        return taken;
    }

    private static ReplicaPushResponse Merge(Dictionary<int, ReplicaPushResponse.PushResult> taken, ReplicaPushResponse response)
    {
        var results = new List<ReplicaPushResponse.PushResult>(response.Partitions);
        foreach ((int index, ReplicaPushResponse.PushResult result) in taken.OrderBy(entry => entry.Key))
            results.Insert(index, result);

        return new ReplicaPushResponse
        {
            IsLeaseGranted = response.IsLeaseGranted, Partitions = [.. results], MovedEnds = response.MovedEnds,
        };
    }

    /// <summary>
    /// The leader's epochs, or with <see cref="Bug.PreviousEpochUnchecked"/> the follower's own, so that only ends differ.
    /// </summary>
    private ReplicaSessionRequest Compared(ReplicaSessionRequest request)
    {
        if (_cluster.Bug != Bug.PreviousEpochUnchecked)
            return request;

        ReplicaSessionRequest.SessionOpening[] sessions = [.. request.Sessions];
        for (int i = 0; i < sessions.Length; i++)
        {
            var id = new PartitionId(sessions[i].TopicId, sessions[i].PartitionIndex);
            if (Replicas.GetValueOrDefault(id)?.Log is not { Epochs.Length: > 0 } log)
                continue;

            long end = Math.Min(log.DurableEndOffset, sessions[i].LogEndOffset);
            sessions[i].Epochs =
            [
                .. log.Epochs.Where(epoch => epoch.StartOffset < end)
                    .Select(epoch => new ReplicaSessionRequest.SessionEpoch { Epoch = epoch.Epoch, StartOffset = epoch.StartOffset }),
                new ReplicaSessionRequest.SessionEpoch { Epoch = int.MaxValue, StartOffset = end },
            ];
        }

        return new ReplicaSessionRequest { Sessions = sessions };
    }
}
