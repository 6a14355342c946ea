using System.Collections.Immutable;

namespace Arus.Coordination.Replication;

internal enum LogPhase
{
    Closed,
    Queued,
    Opening,
    Open,
}

/// <summary>What is under way in a log; one thing at most.</summary>
internal enum LogOperation
{
    None,
    Append,
    PrepareToLead,
    PrepareSession,
}

/// <summary>A partition as this broker knows it, whether it keeps a log of it or not.</summary>
internal sealed class Replica(PartitionState state) : ITimed
{
    public PartitionState State { get; set; } = state;

    public PartitionId Id { get; } = state.Id;

    public long ArmedAtMs { get; set; } = long.MaxValue;

    /// <summary>It waits to be looked at.</summary>
    public bool IsTouched { get; set; }

    /// <summary>It was looked at while its log was busy, and is to be looked at again.</summary>
    public bool IsLookedAtAgain { get; set; }

    /// <summary>When records last came; what is in use goes first.</summary>
    public long LastUsedMs { get; set; }

    public int MinInSyncReplicas { get; set; } = 1;

    public bool AllowsUncleanElection { get; set; }

    /// <summary>The epoch after which an operator allowed an unclean election; -1 for none.</summary>
    public int UncleanAfterEpoch { get; set; } = -1;

    // The log.
    public LogPhase Phase { get; set; }

    public IReplicaLog? Log { get; set; }

    /// <summary>For which epoch a log in the database was opened: opening it claims it.</summary>
    public int OpenedEpoch { get; set; } = -1;

    public long ReopenAtMs { get; set; }

    public int LogFailures { get; set; }

    public bool IsDeletionOrdered { get; set; }

    /// <summary>Since when the log of a partition that is kept elsewhere now waits to be deleted; -1 for not.</summary>
    public long StraySinceMs { get; set; } = -1;

    public int DeletionFailures { get; set; }

    /// <summary>Since when nothing is left of a deleted partition; -1 for not.</summary>
    public long DeletedMs { get; set; } = -1;

    public LogOperation Operation { get; set; }

    /// <summary>As served, or heard of a leader. What the log has checkpointed may be less.</summary>
    public long HighWatermark { get; set; }

    // Leadership and elections.
    public Leadership? Leadership { get; set; }

    public int PreparedEpoch { get; set; } = -1;

    /// <summary>This broker leads in no epoch up to this one, unless it does so already.</summary>
    public int RetiredEpoch { get; set; } = -1;

    /// <summary>The newest epoch whose leader said that it gives up.</summary>
    public int ResignedEpoch { get; set; } = -1;

    /// <summary>When this broker learnt who leads in which epoch.</summary>
    public long LeaderLearntMs { get; set; }

    /// <summary>Since when nobody leads; -1 for somebody does.</summary>
    public long LeaderlessSinceMs { get; set; } = -1;

    /// <summary>It has been said that the database lost changes of this partition.</summary>
    public bool IsStaleReported { get; set; }

    /// <summary>Leaders below are refused while this broker tries to get elected for this epoch.</summary>
    public int CandidateEpoch { get; set; } = -1;

    /// <summary>The leader that a swap of this broker may have replaced, or may yet replace.</summary>
    public Peer? Challenged { get; set; }

    // The follower's side.
    public int SessionEpoch { get; set; } = -1;

    public long Opening { get; set; }

    /// <summary>A session that waits for the log to be free, or the one for which it is being prepared.</summary>
    public SessionOffer? WaitingOffer { get; set; }

    public SessionOffer? PreparingOffer { get; set; }

    public PendingAppend? Append { get; set; }

    /// <summary>The last push that was taken: its call may not have been answered yet.</summary>
    public PendingAppend? LastPush { get; set; }

    // Changes of the state.
    public SwapProgress Swap { get; } = new();

    public ReplicaView? Published { get; set; }

    /// <summary>The epoch below which this broker refuses leaders of the partition.</summary>
    public int MinEpoch =>
        Math.Max(Math.Max(State.LeaderEpoch, CandidateEpoch), Math.Max(Log?.FencedEpoch ?? -1, PreparingOffer?.Request.LeaderEpoch ?? -1));

    /// <summary>How many have to be in sync before records count as committed.</summary>
    public int EffectiveMin => MinOf(State.Replicas.Length);

    public int MinOf(int replicas) => Math.Max(1, Math.Min(MinInSyncReplicas, replicas));

    public bool IsReplica(int brokerId) =>
        State.IsAssigned(brokerId) || State.Isr.NamesBroker(brokerId) || State.Elr.NamesBroker(brokerId);
}

/// <summary>Swaps of one state that are under way, or whose outcome is unknown.</summary>
internal sealed class SwapProgress
{
    /// <summary>The swap that is under way; 0 for none.</summary>
    public long Number { get; set; }

    /// <summary>An earlier one may have taken effect, or may yet.</summary>
    public bool IsUnsettled { get; set; }

    public long RetryAtMs { get; set; }

    public int Failures { get; set; }

    /// <summary>What the state may have become, or may yet become, as far as proposals differ.</summary>
    public List<PartitionState> Proposals { get; } = [];

    public bool IsInFlight => Number != 0;

    public void Settle()
    {
        Number = 0;
        IsUnsettled = false;
        RetryAtMs = 0;
        Failures = 0;
        Proposals.Clear();
    }
}
