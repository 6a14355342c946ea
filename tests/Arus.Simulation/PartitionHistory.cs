using Arus.Coordination.Replication;

namespace Arus.Simulation;

/// <summary>What has become of one partition, as nobody in the cluster knows it, and what must hold of it all along.</summary>
internal sealed class PartitionHistory(Cluster cluster, PartitionState created, TopicPlan topic)
{
    private readonly Dictionary<(long Offset, int Epoch), (StoredBatch Batch, StoredBatch? Previous)> _written = [];
    private readonly Dictionary<int, long> _leaders = [];
    private long _deleted;

    public PartitionId Id => created.Id;

    public string Name { get; } = $"{created.Topic}/{created.Id.Partition}";

    public TopicPlan Topic => topic;

    public bool IsDeleted { get; set; }

    /// <summary>What a high watermark of a leader has passed, in offset order.</summary>
    public List<StoredBatch> Committed { get; } = [];

    public long CommittedEnd => Committed.Count > 0 ? Committed[^1].Next : 0;

    /// <summary>Where an administrator, or retention, had records deleted up to.</summary>
    public long DeletedUpTo { get; private set; }

    /// <summary>Of the last unclean election: what leaders of earlier epochs promised is void from then on. -1 without one.</summary>
    public int UncleanEpoch { get; private set; } = -1;

    /// <summary>What clients know: every offset below was acknowledged with acks=all, read, or answered as the latest.</summary>
    public long VisibleEnd { get; private set; }

    /// <summary>The newest epoch whose leader has served.</summary>
    public int ServingEpoch { get; private set; } = -1;

    /// <summary>The batches that producers were promised with acks=all, and where.</summary>
    public Dictionary<uint, long> Acknowledged { get; } = [];

    public void MakeVisible(long end) => VisibleEnd = Math.Max(VisibleEnd, end);

    /// <summary>A log's start moved, or is about to.</summary>
    public void Deleted(long before)
    {
        _deleted = Math.Max(_deleted, before);
        DeletedUpTo = Math.Max(DeletedUpTo, Math.Min(before, CommittedEnd));
    }

    /// <summary>Whether an answer is of a leader, or of a log that follows one, to which an unclean election puts an end.</summary>
    public bool IsVoid(int epoch) => epoch < UncleanEpoch;

    /// <summary>A replica that was not in sync was elected: what its log lacks of all that was committed is lost.</summary>
    public void ElectedUncleanly(int epoch, SimulatedLog log)
    {
        UncleanEpoch = epoch;
        long first = log.Batches.Count > 0 ? Math.Min(log.Batches[0].Offset, log.LogStartOffset) : log.LogStartOffset;
        int kept = Committed.FindIndex(batch =>
            batch.Next > first && (batch.Next > log.DurableEndOffset || log.Find(batch.Offset) != batch));
        if (kept >= 0)
            Committed.RemoveRange(kept, Committed.Count - kept);

        // What an earlier unclean election had taken may be back.
        Committed.AddRange(log.Batches.Where(batch => batch.Offset >= CommittedEnd && batch.Next <= log.HighWatermark).ToArray());
        DeletedUpTo = Math.Max(Math.Min(_deleted, CommittedEnd), log.LogStartOffset);
        VisibleEnd = Math.Min(VisibleEnd, CommittedEnd);
        foreach ((uint crc, long offset) in Acknowledged.ToArray())
        {
            if (offset >= log.LogStartOffset && CommittedAt(offset)?.Crc != crc)
                Acknowledged.Remove(crc);
        }
    }

    /// <summary>Invariant 3: the same offset and epoch mean the same bytes, and the same before them.</summary>
    public void Appended(StoredBatch batch, StoredBatch? previous, SimulatedLog log)
    {
        if (previous is { } before && (before.Next > batch.Offset || before.Epoch > batch.Epoch))
            throw ViolationException.Safety(3, $"{Name} on broker {log.BrokerId}: {batch} follows {before}");

        if (!_written.TryGetValue((batch.Offset, batch.Epoch), out (StoredBatch Batch, StoredBatch? Previous) known))
        {
            _written[(batch.Offset, batch.Epoch)] = (batch, previous);
        }
        else if (known.Batch != batch || (known.Previous is { } one && previous is { } other && one != other))
        {
            throw ViolationException.Safety(
                3, $"{Name} on broker {log.BrokerId}: {batch} after {previous}, elsewhere {known.Batch} after {known.Previous}");
        }
        else if (known.Previous is null)
        {
            _written[(batch.Offset, batch.Epoch)] = (batch, previous);
        }
    }

    /// <summary>Invariants 1, 3, 4: what is passed is on every disk of the isr, and is what other leaders have there.</summary>
    public void HighWatermarkMoved(SimulatedLog log, long from, long to, ReplicaView? view)
    {
        if (IsDeleted || to <= DeletedUpTo)
            return;

        if (to > log.DurableEndOffset)
            throw ViolationException.Safety(4, $"{Name}: high watermark {to} above the durable end {log.DurableEndOffset}");

        if (IsVoid(log.FencedEpoch))
            return;

        // An elected leader moves its high watermark before it serves.
        PartitionState row = cluster.Database.Row(Id);
        bool leads = view is { Role: ReplicaRole.Leader } || (row.Leader == log.BrokerId && row.LeaderEpoch == log.FencedEpoch);
        if (leads && row.LeaderEpoch == log.FencedEpoch)
            CheckIsr(log, to, row);

        foreach (StoredBatch batch in log.Batches)
        {
            if (batch.Next <= from || batch.Offset >= to || batch.Next <= DeletedUpTo)
                continue;

            if (batch.Next > to)
                throw ViolationException.Safety(3, $"{Name}: high watermark {to} within {batch}");

            Commit(batch, log, leads);
        }
    }

    /// <summary>The committed batch that holds an offset.</summary>
    public StoredBatch? CommittedAt(long offset)
    {
        int low = 0;
        int high = Committed.Count - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            if (Committed[middle].Next <= offset)
                low = middle + 1;
            else if (Committed[middle].Offset > offset)
                high = middle - 1;
            else
                return Committed[middle];
        }

        return null;
    }

    /// <summary>Invariants 1, 2, 10, when a leader begins to serve.</summary>
    public void LeaderServes(BrokerProcess process, SimulatedLog log, ReplicaView view)
    {
        int epoch = view.State.LeaderEpoch;
        if (!_leaders.TryAdd(epoch, process.Life) && _leaders[epoch] != process.Life)
            throw ViolationException.Safety(2, $"{Name}: broker {process.Broker.Id} leads epoch {epoch}, as another did");

        if (view.EpochStart != log.LogEndOffset || log.DurableEndOffset != log.LogEndOffset)
        {
            throw ViolationException.Safety(
                10, $"{Name}: epoch {epoch} begins at {view.EpochStart}, the log ends at {log.LogEndOffset}, on disk at "
                + log.DurableEndOffset);
        }

        if (epoch < ServingEpoch || IsVoid(epoch))
            return; // It is late, and commits nothing any more.

        ServingEpoch = epoch;
        if (epoch == UncleanEpoch)
            ElectedUncleanly(epoch, log); // A push that it had taken before it stood may have become durable since.

        CheckHoldsCommitted(log, 1, "leads");
    }

    /// <summary>Invariant 7: after a successor serves, the old leader says of no offset what it is.</summary>
    public void Verdict(int epoch, int broker)
    {
        if (ServingEpoch > epoch && !IsVoid(epoch))
            throw ViolationException.Safety(7, $"{Name}: broker {broker} judges in epoch {epoch}, while {ServingEpoch} is served");
    }

    /// <summary>Invariant 1: a log of the isr has, at its offset, whatever was committed.</summary>
    public void CheckHoldsCommitted(SimulatedLog log, int invariant, string what)
    {
        long start = Math.Max(log.LogStartOffset, DeletedUpTo);
        if (IsDeleted || CommittedEnd <= start)
            return;

        if (log.LogStartOffset > DeletedUpTo)
        {
            throw ViolationException.Safety(
                invariant, $"{Name}: broker {log.BrokerId} {what} and begins at {log.LogStartOffset}; deleted up to {DeletedUpTo}");
        }

        foreach (StoredBatch batch in Committed)
        {
            if (batch.Next > start && log.Find(batch.Offset) is var found && (found != batch || batch.Next > log.DurableEndOffset))
            {
                throw ViolationException.Safety(
                    invariant, $"{Name}: broker {log.BrokerId} {what} and has {found?.ToString() ?? "nothing"} for committed {batch} "
                    + $"(log {log.LogStartOffset} to {log.DurableEndOffset})");
            }
        }
    }

    /// <summary>Invariant 3: a member of isr or elr never cuts off what was committed.</summary>
    public void CheckCut(SimulatedLog log, long truncateTo, long restartAt)
    {
        if (IsDeleted || (truncateTo < 0 && restartAt < 0) || !cluster.Database.IsMember(Id, log.BrokerId, log.LogId))
            return;

        StoredBatch? lost = log.Batches.Cast<StoredBatch?>().FirstOrDefault(
            batch => (restartAt >= 0 || batch!.Value.Next > truncateTo) && batch!.Value.Next > DeletedUpTo
                && batch.Value.Next <= log.DurableEndOffset && CommittedAt(batch.Value.Offset) == batch);
        if (lost is not null)
        {
            throw ViolationException.Safety(
                3, $"{Name}: broker {log.BrokerId}, in sync, cuts {lost} off, which is committed "
                + $"(truncate to {truncateTo}, restart at {restartAt})");
        }
    }

    private void CheckIsr(SimulatedLog log, long to, PartitionState stored)
    {
        if (stored.Isr.Length < Math.Min(topic.MinInSyncReplicas, topic.ReplicationFactor))
            throw ViolationException.Safety(4, $"{Name}: high watermark {to} with the isr {string.Join(' ', stored.Isr)}");

        foreach (ReplicaId member in stored.Isr)
        {
            SimulatedLog? replica = cluster.LogOf(member.BrokerId, Id);
            if (replica?.LogId == member.LogId && replica.DurableEndOffset < to)
            {
                throw ViolationException.Safety(
                    4, $"{Name}: high watermark {to} of broker {log.BrokerId}, and broker {member.BrokerId} of the isr ends at "
                    + replica.DurableEndOffset);
            }
        }
    }

    private void Commit(StoredBatch batch, SimulatedLog log, bool leads)
    {
        if (batch.Offset < CommittedEnd)
        {
            if (CommittedAt(batch.Offset) is { } committed && committed != batch)
                throw ViolationException.Safety(1, $"{Name}: broker {log.BrokerId} serves {batch}, served before: {committed}");

            return;
        }

        if (!leads)
            throw ViolationException.Safety(4, $"{Name}: follower {log.BrokerId} passes {batch}, no leader has ({CommittedEnd})");

        Committed.Add(batch);
        foreach (SimulatedLog other in cluster.SuccessorLogs(Id, log.FencedEpoch))
        {
            if (other.Find(batch.Offset) != batch)
                throw ViolationException.Safety(1, $"{Name}: broker {log.BrokerId} commits {batch}, leader {other.BrokerId} lacks it");
        }
    }
}
