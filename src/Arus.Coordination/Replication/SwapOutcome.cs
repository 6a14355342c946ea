namespace Arus.Coordination.Replication;

/// <summary>What became of a swap.</summary>
public enum SwapOutcome
{
    /// <summary>It took effect; the state has the new version.</summary>
    Won = 0,

    /// <summary>Another was faster; the state is what it made.</summary>
    Lost = 1,

    /// <summary>No answer came: it may have taken effect, and it may yet.</summary>
    Unknown = 2,
}
