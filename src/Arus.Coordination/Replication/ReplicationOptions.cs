namespace Arus.Coordination.Replication;

/// <summary>What a broker's replication obeys. Times in milliseconds.</summary>
public sealed record ReplicationOptions
{
    public required int BrokerId { get; init; }

    /// <summary>How long an answer to a push promises its sender that this broker will not take over the sender's partitions.</summary>
    public int LeaseMs { get; init; } = 2_000;

    /// <summary>
    /// For how long the sender relies on the promise: clocks of two machines go at different rates, by up to 8 % while a daemon of NTP
    /// slews one of them, and the promise must not end by the other's clock before it does by the sender's.
    /// </summary>
    public int ReliedLeaseMs => LeaseMs - (LeaseMs / 10);

    /// <summary>How often a leader's broker calls a broker to which it has sent nothing else.</summary>
    public int HeartbeatMs { get; init; } = 500;

    /// <summary>A high watermark that moved is told to the followers within this time, without records if need be.</summary>
    public int HighWatermarkDelayMs { get; init; } = 10;

    /// <summary><c>replica.lag.time.max.ms</c>.</summary>
    public int LagTimeMaxMs { get; init; } = 30_000;

    /// <summary>How much longer than the one before it each further candidate waits before it elects itself.</summary>
    public int ElectionStaggerMs { get; init; } = 300;

    /// <summary>How long a leader that needs a swap goes on without the database before it resigns.</summary>
    public int SwapPatienceMs { get; init; } = 3_000;

    /// <summary>How long a move of a leadership may hold appends back.</summary>
    public int MovePatienceMs { get; init; } = 500;

    /// <summary>The pause after a call or a swap that failed.</summary>
    public int RetryMs { get; init; } = 100;

    /// <summary>Calls with records on their way to one broker.</summary>
    public int MaxPushesInFlight { get; init; } = 4;

    /// <summary>
    /// Bytes a second that go from this broker to replicas that are not in sync, all together, at the start;
    /// <see cref="long.MaxValue"/>: unbounded.
    /// </summary>
    public long CatchUpBytesPerSecond { get; init; } = long.MaxValue;

    /// <summary>Partitions in one call.</summary>
    public int MaxPartitionsInCall { get; init; } = 512;

    /// <summary>Logs that are being opened at once.</summary>
    public int MaxOpenings { get; init; } = 64;
}
