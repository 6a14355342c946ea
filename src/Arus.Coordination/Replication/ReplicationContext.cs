namespace Arus.Coordination.Replication;

/// <summary>What the parts of the machine share.</summary>
internal sealed class ReplicationContext(ReplicationOptions options, LeaseTable leases)
{
    public ReplicationOptions Options { get; } = options;

    public LeaseTable Leases { get; } = leases;

    public int Self => Options.BrokerId;

    public PeerTable Peers { get; } = new(options);

    public CatchUpBudget CatchUp { get; } = new(options.CatchUpBytesPerSecond);

    public TimerQueue Timers { get; } = new();

    public Dictionary<PartitionId, Replica> Replicas { get; } = [];

    public List<ReplicationEffect> Effects { get; set; } = [];

    /// <summary>The time of the input that is being handled.</summary>
    public long NowMs { get; private set; }

    /// <summary>Leaderships go to other brokers, and none is taken any more.</summary>
    public bool IsDraining { get; set; }

    public int LeaderCount { get; set; }

    /// <summary>Partitions that are to be looked at before the input ends.</summary>
    public Queue<Replica> Touched { get; } = new();

    /// <summary>Something has changed for a partition: what follows from it is found when the input has been taken.</summary>
    public void Touch(Replica replica)
    {
        if (replica.IsTouched)
            return;

        replica.IsTouched = true;
        Touched.Enqueue(replica);
    }

    public void Emit(ReplicationEffect effect) => Effects.Add(effect);

    public void Report(Replica replica, string message) => Emit(new ReplicationEffect.Report(replica.Id, message));

    public void SetNow(long nowMs) => NowMs = Math.Max(NowMs, nowMs);

    /// <summary>A pause that doubles with each failure.</summary>
    public long RetryAt(int failures, int maxFactor = 10) => NowMs + (Options.RetryMs * Math.Min(maxFactor, 1L << Math.Min(failures, 20)));
}
