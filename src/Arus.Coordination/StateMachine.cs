using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>A deterministic state machine: it has no clock, no I/O and no randomness of its own. Not thread-safe.</summary>
/// <typeparam name="TRecords">What it makes durable.</typeparam>
/// <remarks>
/// Changes apply in memory at once; a reply that tells of a change is held until the change is durable. A host has five duties:
/// <list type="number">
/// <item>Build the machine from what is stored, once no earlier coordinator can store anything any more.</item>
/// <item>Feed it one input at a time: <see cref="Receive"/>, <see cref="Advance"/>, <see cref="Written"/>. Times are Unix milliseconds
/// and never go backwards.</item>
/// <item>After each input take the <see cref="Effects{TRecords}"/> and carry out all three: send the replies; if there are records, make
/// them durable and then call <see cref="Written"/>; call <see cref="Advance"/> no later than the deadline.</item>
/// <item>Have one write under way at most, and say so to <see cref="TakeEffects"/>. What changes in the meantime goes with the next.</item>
/// <item>When a write fails, whether it took effect is unknown, and a machine that throws is in no known state: discard it, refuse the
/// calls that wait, and begin with what is stored. That is also how a coordinator ends whose place another has taken.</item>
/// </list>
/// </remarks>
public interface IStateMachine<TRecords>
    where TRecords : class
{
    /// <summary>Nobody waits for anything and nothing is to be stored, so that no host needs to claim what is stored yet.</summary>
    bool IsIdle { get; }

    /// <summary>Takes a request. It is answered, with an error if need be, by a deadline: a host cannot stop while a call waits.</summary>
    /// <param name="call">Names the call; comes back with its reply, once.</param>
    void Receive(long call, IApiMessage request, Caller caller, long nowMs);

    /// <summary>Does what is due by <paramref name="nowMs"/>.</summary>
    void Advance(long nowMs);

    /// <summary>The records that were taken last are durable.</summary>
    void Written();

    /// <summary>What is to be done now; each reply and each record is returned once.</summary>
    /// <param name="canWrite">False while a write is under way, or the host may not write.</param>
    Effects<TRecords> TakeEffects(bool canWrite);
}

/// <summary>All that a host has to do after an input.</summary>
/// <param name="Replies">To be sent now, in order.</param>
/// <param name="Records">To be made durable; null if there are none, or the host cannot write.</param>
/// <param name="Deadline">When <see cref="IStateMachine{T}.Advance"/> is due at the latest; <see cref="long.MaxValue"/> for never.
/// Calling it early does no harm.</param>
public readonly record struct Effects<TRecords>(IReadOnlyList<Reply> Replies, TRecords? Records, long Deadline)
    where TRecords : class;

/// <summary>The reply to a call.</summary>
public readonly record struct Reply(long Call, IApiMessage Message);
