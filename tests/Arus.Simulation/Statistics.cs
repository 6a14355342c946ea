namespace Arus.Simulation;

/// <summary>What clients do.</summary>
internal enum Operation
{
    ProduceAll,
    ProduceOne,
    Fetch,
    FetchFromFollower,
    LatestOffset,
    DeleteRecords,
    MoveLeadership,
    CreateTopic,
    DeleteTopic,
}

internal enum Fault
{
    ProcessCrash,
    ProcessCrashWithinWrite,
    PowerLoss,
    PowerLossWithinWrite,
    Pause,
    GracefulStop,
    WrongDeclaration,

    /// <summary>Of a broker that does not hear of it for a while.</summary>
    DeclarationUnheard,
    OneWayCut,
    Partition,
    CallsLost,
    CallsDuplicated,
    CallsReordered,
    DatabaseAway,
    DatabaseAnswersLost,
    DatabaseSwapsLate,
    DatabaseSlow,
    DatabaseUnreachable,
    DiskSlow,
    DiskFull,
    DiskError,
    DiskEmptied,
    LinkCut,
    InSyncMembersCrash,
    GrowthLate,
    WallClockSet,
}

/// <summary>What the product or its surroundings did at least once over many seeds, or the seeds did not test it.</summary>
internal enum Rule
{
    FirstElection,
    ElectionFromIsr,
    ElectionFromElr,
    UncleanElection,
    SelfReelection,
    Shrink,
    ShrinkToElr,

    /// <summary>Of a live broker that the leader's does not reach.</summary>
    ShrinkOfSilent,
    ElrEmptied,
    Growth,
    Resignation,
    Move,
    SwapLost,
    SwapUnknown,
    UnknownSwapApplied,
    LateSwapApplied,
    LateSwapRefused,
    LogIdRenewed,
    SessionOpened,
    SessionRefused,
    FollowerTruncated,
    FollowerRestarted,
    PushAppended,
    PushRefused,
    HighWatermarkMoved,
    VerdictGiven,
    VerdictWithheld,
    LatestNotAvailable,
    AppendsHeld,
    WaitersRefusedOnDeposition,
    DuplicateAnswered,
    NotEnoughReplicas,
    RequestTimedOut,
    FollowerRead,
    FollowerNotAvailable,
    ProducerReset,
    DrainedStop,
    DeclaredDeadEnded,
    LogFailed,
    LogDeleted,
    RetentionMovedStart,
    WriteLost,
    WriteTorn,
    LogRecovered,
    DatabaseAwayAcknowledged,
    KillFailedOver,
    CutLinkSurvived,
}

internal sealed class Statistics
{
    public long[] Operations { get; } = new long[Enum.GetValues<Operation>().Length];

    public long[] Faults { get; } = new long[Enum.GetValues<Fault>().Length];

    public long[] Rules { get; } = new long[Enum.GetValues<Rule>().Length];

    public long Events { get; set; }

    public long TotalOperations => Operations.Sum();

    public long TotalFaults => Faults.Sum();

    public void Count(Operation operation) => Operations[(int)operation]++;

    public void Count(Fault fault) => Faults[(int)fault]++;

    public void Count(Rule rule, int times = 1) => Rules[(int)rule] += times;

    public void Add(Statistics other)
    {
        Add(Operations, other.Operations);
        Add(Faults, other.Faults);
        Add(Rules, other.Rules);
        Events += other.Events;
    }

    /// <summary>The names of what never happened.</summary>
    public IEnumerable<string> Missing() =>
        [.. Zeros<Operation>(Operations), .. Zeros<Fault>(Faults), .. Zeros<Rule>(Rules)];

    public void Print(TextWriter output)
    {
        Print<Operation>(output, "operations", Operations);
        Print<Fault>(output, "faults", Faults);
        Print<Rule>(output, "rules", Rules);
    }

    private static void Print<T>(TextWriter output, string title, long[] counts)
        where T : struct, Enum
    {
        output.WriteLine(FormattableString.Invariant($"{title}: {counts.Sum()}"));
        foreach (T value in Enum.GetValues<T>())
            output.WriteLine(FormattableString.Invariant($"  {value,-28} {counts[Convert.ToInt32(value, null)],12}"));
    }

    private static IEnumerable<string> Zeros<T>(long[] counts)
        where T : struct, Enum =>
        Enum.GetValues<T>().Where(value => counts[Convert.ToInt32(value, null)] == 0).Select(value => value.ToString());

    private static void Add(long[] to, long[] from)
    {
        for (int i = 0; i < to.Length; i++)
            to[i] += from[i];
    }
}
