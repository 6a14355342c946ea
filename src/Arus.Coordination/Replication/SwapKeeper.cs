using System.Diagnostics;

namespace Arus.Coordination.Replication;

/// <summary>
/// Proposes changes of states. A swap without an answer is settled by a later version only: until then everything counts that the state may
/// have become.
/// </summary>
internal sealed class SwapKeeper(ReplicationContext context, ViewPublisher views, Action<PartitionState> learn)
{
    private readonly Dictionary<long, Replica> _underWay = [];
    private long _lastNumber;

    public void Propose(Replica replica, PartitionState proposed)
    {
        SwapProgress swap = replica.Swap;
        swap.Number = ++_lastNumber;
        _underWay.Add(swap.Number, replica);
        if (!swap.Proposals.Exists(earlier => earlier.Leader == proposed.Leader && earlier.HasMembersOf(proposed)))
            swap.Proposals.Add(proposed);

        // What the swap may change counts before it can take effect.
        views.Publish(replica);
        context.Emit(new ReplicationEffect.Swap(swap.Number, proposed));
    }

    public void Completed(long number, SwapOutcome outcome, PartitionState? state)
    {
        Debug.Assert(outcome != SwapOutcome.Won || state is not null, "A swap that was won has a new state.");
        if (!_underWay.Remove(number, out Replica? replica))
            return;

        SwapProgress swap = replica.Swap;
        bool isCurrent = swap.Number == number;

        // A lost swap may tell of an earlier one that was won unheard: nobody else would tell of it.
        if (outcome == SwapOutcome.Won || (outcome == SwapOutcome.Lost && state?.Version > replica.State.Version))
            context.Emit(new ReplicationEffect.Announce([state!]));

        if (isCurrent)
        {
            swap.Number = 0;
            swap.IsUnsettled |= outcome == SwapOutcome.Unknown;
            swap.RetryAtMs = context.RetryAt(swap.Failures++);
        }

        if (outcome != SwapOutcome.Unknown && state is not null)
            learn(state);

        context.Touch(replica);
    }
}
