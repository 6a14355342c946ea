using Arus.Coordination.Replication;
using Arus.Storage;

namespace Arus.Simulation;

/// <param name="Offset">The first one given, or the answer to the question; -1 on error.</param>
/// <param name="Epoch">Of the leader that answers, or that the answering log follows.</param>
internal sealed record Answer(ErrorCode Error, long Offset, IReadOnlyList<StoredBatch>? Batches = null, int Epoch = int.MaxValue);

/// <summary>What a broker answers to clients: the rules of leaders, of waiting for the high watermark, and of verdicts.</summary>
internal sealed class DataPath(BrokerProcess process)
{
    private readonly World _world = process.Cluster.World;

    public void Produce(PartitionId id, byte[] batch, bool all, int timeoutMs, Action<Answer> answer)
    {
        long untilMs = _world.NowMs + timeoutMs;
        Produce(id, batch, all, untilMs, answer);
    }

    public void Fetch(PartitionId id, long offset, bool fromFollower, Action<Answer> answer)
    {
        if (Find(id) is not { Log: { } log, View: { } view } replica)
            answer(new Answer(ErrorOf(id), -1));
        else if (view.Role == ReplicaRole.Leader)
            FetchFromLeader(replica, log, offset, answer);
        else if (view.Role == ReplicaRole.Follower && fromFollower)
            FetchFromFollower(log, offset, answer);
        else
            answer(new Answer(ErrorCode.NotLeaderOrFollower, -1));
    }

    public void LatestOffset(PartitionId id, Action<Answer> answer)
    {
        if (Leader(id) is not { Log: { } log, View: { } view } replica)
        {
            answer(new Answer(ErrorOf(id), -1));
        }
        else if (!MayJudge(replica))
        {
            answer(new Answer(ErrorCode.NotLeaderOrFollower, -1));
        }
        else if (log.HighWatermark < view.EpochStart)
        {
            _world.Statistics.Count(Rule.LatestNotAvailable);
            answer(new Answer(ErrorCode.OffsetNotAvailable, -1));
        }
        else
        {
            replica.History.Verdict(view.State.LeaderEpoch, process.Broker.Id);
            answer(new Answer(ErrorCode.None, log.HighWatermark, Epoch: view.State.LeaderEpoch));
        }
    }

    public void DeleteRecords(PartitionId id, Action<Answer> answer)
    {
        if (Leader(id) is not { Log: { } log, View: { } view } replica || !MayJudge(replica) || log.HighWatermark < view.EpochStart)
        {
            answer(new Answer(ErrorCode.NotLeaderOrFollower, -1));
            return;
        }

        long before = log.LogStartOffset + _world.Random.NextInt64(log.HighWatermark - log.LogStartOffset + 1);
        replica.History.Deleted(before);
        LogDeleteResult result = replica.DeleteRecords(before);
        answer(new Answer(result.Error, result.LogStartOffset));
    }

    private void Produce(PartitionId id, byte[] batch, bool all, long untilMs, Action<Answer> answer)
    {
        if (Leader(id) is not { View: { } view } replica)
        {
            answer(new Answer(ErrorOf(id), -1));
        }
        else if (view.HoldsAppends)
        {
            _world.Statistics.Count(Rule.AppendsHeld);
            new HeldAppend(replica, isLate => Retry(isLate)).Wait(untilMs);
        }
        else if (all && view.InSync < Math.Min(replica.History.Topic.MinInSyncReplicas, replica.History.Topic.ReplicationFactor))
        {
            _world.Statistics.Count(Rule.NotEnoughReplicas);
            answer(new Answer(ErrorCode.NotEnoughReplicas, -1));
        }
        else
        {
            Append(replica, view.State.LeaderEpoch, batch, all, untilMs, answer);
        }

        void Retry(bool isLate)
        {
            if (isLate)
                answer(new Answer(ErrorCode.RequestTimedOut, -1));
            else
                process.Post(0, () => Produce(id, batch, all, untilMs, answer));
        }
    }

    private void Append(Replica replica, int epoch, byte[] batch, bool all, long untilMs, Action<Answer> answer)
    {
        long end = replica.Log!.LogEndOffset;
        int records = new RecordBatchHeader(batch).LastOffsetDelta + 1;
        replica.Append([batch], epoch, AppendOrigin.Client, results =>
        {
            LogAppendResult result = results[0];
            if (result.Error != ErrorCode.None)
            {
                // That a sequence is wrong is a verdict too: a deposed leader does not know what came since.
                bool isUnsure = result.Error == ErrorCode.OutOfOrderSequenceNumber && !MayJudge(replica);
                ErrorCode error = isUnsure || result.Error == ErrorCode.FencedLeaderEpoch ? ErrorCode.NotLeaderOrFollower : result.Error;
                answer(new Answer(error, -1));
                return;
            }

            bool isDuplicate = result.BaseOffset < end;
            if (isDuplicate)
                _world.Statistics.Count(Rule.DuplicateAnswered);

            var success = new Answer(ErrorCode.None, result.BaseOffset, Epoch: epoch);
            if (!all || (isDuplicate && process.Cluster.Bug == Bug.DuplicateAcknowledgedAtOnce))
                answer(success);
            else
                new CommitWait(replica, epoch, result.BaseOffset + records, success, answer).Wait(untilMs);
        });
    }

    private void FetchFromLeader(Replica replica, SimulatedLog log, long offset, Action<Answer> answer)
    {
        if (offset >= log.LogStartOffset && offset <= log.LogEndOffset)
        {
            answer(Read(log, offset));
        }
        else if (MayJudge(replica))
        {
            replica.History.Verdict(replica.View!.State.LeaderEpoch, process.Broker.Id);
            answer(new Answer(ErrorCode.OffsetOutOfRange, -1, Epoch: replica.View.State.LeaderEpoch));
        }
        else
        {
            answer(new Answer(ErrorCode.NotLeaderOrFollower, -1));
        }
    }

    private void FetchFromFollower(SimulatedLog log, long offset, Action<Answer> answer)
    {
        bool isKnown = offset >= log.LogStartOffset && offset < log.HighWatermark;
        _world.Statistics.Count(isKnown ? Rule.FollowerRead : Rule.FollowerNotAvailable);
        answer(isKnown ? Read(log, offset) : new Answer(ErrorCode.OffsetNotAvailable, -1));
    }

    private static Answer Read(SimulatedLog log, long offset)
    {
        if (offset >= log.HighWatermark)
            return new Answer(ErrorCode.None, offset, [], log.FencedEpoch);

        LogReadResult read = log.Read(offset, 2_000, toDurableEnd: false);
        return new Answer(read.Error, offset, [.. read.Records.SelectMany(SimulatedLog.BatchesOf)], log.FencedEpoch);
    }

    private bool MayJudge(Replica replica)
    {
        bool may = process.LocalNowMs < process.Leases.VerdictsUntilMs(replica.View!);
        _world.Statistics.Count(may ? Rule.VerdictGiven : Rule.VerdictWithheld);
        return may;
    }

    private Replica? Find(PartitionId id) =>
        process.Replicas.GetValueOrDefault(id) is { Log.Failure: null } replica ? replica : null;

    private Replica? Leader(PartitionId id) => Find(id) is { View.Role: ReplicaRole.Leader } replica ? replica : null;

    private ErrorCode ErrorOf(PartitionId id) =>
        process.Knows(id) ? ErrorCode.NotLeaderOrFollower : ErrorCode.UnknownTopicOrPartition;

    /// <summary>Waits until something of a replica changes, or the time is up.</summary>
    private abstract class ReplicaWait(Replica replica)
    {
        private bool _done;

        protected Replica Replica => replica;

        public void Wait(long untilMs)
        {
            World world = replica.Process.Cluster.World;
            if (TryEnd(isLate: false))
                return;

            replica.Changed += OnChanged;
            replica.Process.Post(Math.Max(0, untilMs - world.NowMs), () => End(isLate: true));
        }

        /// <returns>Whether the wait is over.</returns>
        protected abstract bool TryEnd(bool isLate);

        private void OnChanged() => End(isLate: false);

        private void End(bool isLate)
        {
            if (_done || !TryEnd(isLate))
                return;

            _done = true;
            replica.Changed -= OnChanged;
        }
    }

    /// <summary>An append during a move of the leadership.</summary>
    private sealed class HeldAppend(Replica replica, Action<bool> retry) : ReplicaWait(replica)
    {
        protected override bool TryEnd(bool isLate)
        {
            if (!isLate && Replica.View is { Role: ReplicaRole.Leader, HoldsAppends: true } && Replica.Log is not null)
                return false;

            retry(isLate);
            return true;
        }
    }

    /// <summary>An append that is acknowledged when the high watermark has passed it, by the leader of its epoch alone.</summary>
    private sealed class CommitWait(Replica replica, int epoch, long end, Answer success, Action<Answer> answer) : ReplicaWait(replica)
    {
        protected override bool TryEnd(bool isLate)
        {
            bool leads = Replica.Log is { Failure: null } && Replica.View is { Role: ReplicaRole.Leader } view
                && view.State.LeaderEpoch == epoch;
            if (leads && Replica.Log!.HighWatermark >= end)
                answer(success);
            else if (!leads)
                Refuse(Rule.WaitersRefusedOnDeposition, ErrorCode.NotLeaderOrFollower);
            else if (isLate)
                Refuse(Rule.RequestTimedOut, ErrorCode.RequestTimedOut);
            else
                return false;

            return true;
        }

        private void Refuse(Rule rule, ErrorCode error)
        {
            Replica.Process.Cluster.World.Statistics.Count(rule);
            answer(new Answer(error, -1));
        }
    }
}
