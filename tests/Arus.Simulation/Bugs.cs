namespace Arus.Simulation;

/// <summary>
/// The deliberate bugs that the simulation must find. They exist in the simulation's host alone, which does to the product what a wrong
/// product would do by itself.
/// </summary>
internal enum Bug
{
    None,

    /// <summary>A candidate reads its log's end first, and refuses pushes of older leaders only when it has won.</summary>
    ElectionReadsEndBeforeFence,

    /// <summary>Sessions compare ends, not which epoch wrote what.</summary>
    PreviousEpochUnchecked,

    /// <summary>A new member of the isr counts from the proposal on.</summary>
    GrowthCountedBeforeSettled,

    /// <summary>A log that lost acknowledged records is taken for what it was.</summary>
    LogIdNotRenewed,

    /// <summary>A repeated batch is acknowledged though the first one is not committed.</summary>
    DuplicateAcknowledgedAtOnce,

    /// <summary>A swap without an answer is settled by reading the row, which it may yet change.</summary>
    SwapSettledByRead,
}
