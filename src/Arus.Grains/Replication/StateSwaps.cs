using Arus.Coordination.Replication;
using Microsoft.Extensions.Logging;

namespace Arus.Grains;

/// <summary>
/// Swaps states in the store: one call under way, and what comes meanwhile goes together in the next, which is one commit. Safe for use by
/// any thread.
/// </summary>
internal sealed partial class StateSwaps(
    IPartitionStateStore store, PartitionImage image, MachinePump pump, TimeProvider time, ILogger<StateSwaps> logger)
{
    private const int MaxInCommit = 2_000;

    /// <summary>Longer than the store's own limits; afterwards it is unknown whether the swaps took effect.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private readonly Queue<ReplicationEffect.Swap> _waiting = [];
    private bool _isUnderWay;

    public void Enqueue(ReplicationEffect.Swap swap)
    {
        lock (_lock)
        {
            _waiting.Enqueue(swap);
            if (_isUnderWay)
                return;

            _isUnderWay = true;
        }

        // Swaps of the same step are still to come.
        _ = Task.Run(RunAsync);
    }

    private async Task RunAsync()
    {
        while (TakeBatch() is { Count: > 0 } batch)
            await SwapAsync(batch).ConfigureAwait(false);
    }

    private List<ReplicationEffect.Swap> TakeBatch()
    {
        var batch = new List<ReplicationEffect.Swap>();
        var partitions = new HashSet<PartitionId>();
        lock (_lock)
        {
            // One commit changes a state once.
            while (batch.Count < MaxInCommit && _waiting.TryPeek(out ReplicationEffect.Swap? swap) && partitions.Add(swap.Proposed.Id))
                batch.Add(_waiting.Dequeue());

            _isUnderWay = batch.Count > 0;
        }

        return batch;
    }

    private async Task SwapAsync(List<ReplicationEffect.Swap> batch)
    {
        StateSwapResult[] results;
        try
        {
            using var limit = new CancellationTokenSource(Limit, time);
            results = await store.SwapAsync([.. batch.Select(swap => swap.Proposed)], limit.Token).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            LogUnknown(batch.Count, e.GetBaseException().Message);
            foreach (ReplicationEffect.Swap swap in batch)
                pump.Post((machine, now) => machine.SwapCompleted(swap.Number, SwapOutcome.Unknown, null, now));

            return;
        }

        for (int i = 0; i < results.Length; i++)
        {
            (ReplicationEffect.Swap swap, StateSwapResult result) = (batch[i], results[i]);
            pump.Post((machine, now) => machine.SwapCompleted(
                swap.Number, result.Won ? SwapOutcome.Won : SwapOutcome.Lost, result.State, now));
        }

        // After the machine was told of the outcomes, which it would otherwise learn as somebody's changes.
        image.Update([.. results.Select(result => result.State).OfType<PartitionState>()]);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "It is unknown whether {Count} states of partitions were changed: {Reason}")]
    private partial void LogUnknown(int count, string reason);
}
