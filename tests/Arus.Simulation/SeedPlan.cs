using Arus.Storage;

namespace Arus.Simulation;

/// <summary>What a seed decides before it begins: how large the cluster is, and what it is configured to.</summary>
internal sealed class SeedPlan
{
    public const int MinOperations = 500;
    public const int MinFaults = 20;

    /// <summary>How long it takes at most until a silent broker is declared dead and all others have heard of it.</summary>
    public const int MaxDetectionMs = 6_000;

    /// <summary>
    /// By how many thousandths a monotonic clock may run fast or slow: daemons of NTP slew it by up to 8 % while they correct it.
    /// </summary>
    public const int MaxClockDrift = 40;

    /// <summary>Below the hour by which the time stamp of a record may lie ahead of a broker's clock.</summary>
    public const int MaxWallOffsetMs = 3_000_000;

    public SeedPlan(World world)
    {
        Brokers = world.Between(3, 5);
        Flush = world.Chance(0.6) ? FlushPolicy.Always : FlushPolicy.Os;
        Topics =
        [
            .. Enumerable.Range(0, world.Between(1, 2))
                .Select(i => new TopicPlan($"t{i}", world.Between(1, 2), Math.Min(Brokers, 3), 2, AllowsUnclean: false)),
            new TopicPlan("loose", 1, world.Between(2, 3), 1, world.Chance(0.5)),
        ];
        LeaseMs = world.Pick([1_000, 2_000, 2_000]);
        LagTimeMaxMs = world.Between(1_500, 6_000);
        MaxPushesInFlight = world.Between(1, 4);
        MaxPartitionsInCall = world.Pick([1, 2, 512]);
        CallTimeoutMs = world.Between(1_000, 4_000);
        DatabaseTimeoutMs = world.Between(1_000, 5_000);
        DetectionMs = world.Between(1_500, 3_000);
        PushBytes = world.Pick([400, 1_500, 100_000]);
        RetentionBytes = world.Pick([-1, -1, 6_000]);
        RetentionMs = world.Pick([-1, -1, 15_000]);
    }

    public int Brokers { get; }

    public FlushPolicy Flush { get; }

    public IReadOnlyList<TopicPlan> Topics { get; }

    public int LeaseMs { get; }

    public int LagTimeMaxMs { get; }

    public int MaxPushesInFlight { get; }

    public int MaxPartitionsInCall { get; }

    public int CallTimeoutMs { get; }

    public int DatabaseTimeoutMs { get; }

    public int DetectionMs { get; }

    /// <summary>Record bytes in one call between brokers.</summary>
    public int PushBytes { get; }

    /// <summary>-1 for no limit.</summary>
    public int RetentionBytes { get; }

    public int RetentionMs { get; }

    public override string ToString() =>
        $"{Brokers} brokers, flush {Flush}, topics {string.Join(' ', Topics)}, lease {LeaseMs}, lag {LagTimeMaxMs}, "
        + $"pushes {MaxPushesInFlight} x {MaxPartitionsInCall} partitions, {PushBytes} bytes, call timeout {CallTimeoutMs}, "
        + $"database timeout {DatabaseTimeoutMs}, detection {DetectionMs}, retention {RetentionBytes} bytes {RetentionMs} ms";
}

internal sealed record TopicPlan(string Name, int Partitions, int ReplicationFactor, int MinInSyncReplicas, bool AllowsUnclean)
{
    public override string ToString() => $"{Name}:{Partitions}x{ReplicationFactor}/{MinInSyncReplicas}{(AllowsUnclean ? " unclean" : "")}";
}
