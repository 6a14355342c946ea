using System.Diagnostics;
using Arus.Storage;

namespace Arus.Grains;

/// <summary>How far a claim on a partition has got.</summary>
/// <remarks>
/// <code>
/// Claimed --- OpenAsync ---> Opening --- log is open ---> Open
///    |                          |                          |
///    +--------------------------+--------------------------+---> Superseded, by a newer epoch or a deletion
///
/// Deleting, the claim of a deletion ---> Superseded, by a topic that was created again
/// </code>
/// </remarks>
internal enum ClaimState
{
    Claimed,
    Opening,
    Open,
    Superseded,
    Deleting,
}

/// <summary>A claim on a partition, with its log once that is open. Safe for use by any thread.</summary>
/// <param name="onSuperseded">Called from any thread when a newer claim takes the partition.</param>
/// <param name="predecessor">Completes when no earlier claim is opening or deleting the log any more.</param>
internal sealed class PartitionClaim(
    LocalPartitions owner, TopicPartition partition, Guid topicId, int leaderEpoch, Action onSuperseded, Task predecessor, ClaimState state)
{
    /// <summary>Not disposed of, since several threads may be about to cancel it; without a timer it holds nothing.</summary>
    private readonly CancellationTokenSource _waits = new();

    private readonly TaskCompletionSource _settled = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile ClaimState _state = state;

    public TopicPartition Partition { get; } = partition;

    public Guid TopicId { get; } = topicId;

    public int LeaderEpoch { get; } = leaderEpoch;

    /// <summary>Null until it is open.</summary>
    public IPartitionLog? Log { get; private set; }

    /// <summary>Tripped when nothing is to wait for records of this log any more.</summary>
    public CancellationToken WaitsEnded => _waits.Token;

    /// <summary>What superseded this claim is a deletion, or a leader of a later topic of the same name.</summary>
    public bool IsTopicGone { get; private set; }

    /// <summary>A newer claim has the partition: nothing may be served from this log any more.</summary>
    public bool IsSuperseded => _state == ClaimState.Superseded;

    /// <summary>Opens the log, after the claims before it have settled. Called once.</summary>
    /// <returns>False when the claim is superseded.</returns>
    /// <exception cref="LogException">The log cannot be opened.</exception>
    public async Task<bool> OpenAsync(TopicConfig config, CancellationToken cancellationToken)
    {
        try
        {
            await predecessor.WaitAsync(cancellationToken);
            Log = TryMove(ClaimState.Claimed, ClaimState.Opening) ? await OpenLogAsync(config, cancellationToken) : null;
        }
        catch
        {
            owner.Release(this);
            throw;
        }

        if (TryMove(ClaimState.Opening, ClaimState.Open))
            return true;

        await CloseAsync();
        return false;
    }

    public void EndWaits() => _waits.Cancel();

    /// <summary>Closes the log if it is open, and gives up the claim.</summary>
    public async Task CloseAsync()
    {
        try
        {
            await (Log?.DisposeAsync() ?? ValueTask.CompletedTask);
        }
        finally
        {
            owner.Release(this);
        }
    }

    /// <summary>A newer claim takes the partition. The task completes when an opening or deletion that has begun is over.</summary>
    internal Task Supersede(bool topicIsGone)
    {
        IsTopicGone = topicIsGone;
        ClaimState before = Interlocked.Exchange(ref _state, ClaimState.Superseded);
        Debug.Assert(before != ClaimState.Superseded, "A claim is superseded by its successor only.");
        return before == ClaimState.Claimed ? predecessor : _settled.Task;
    }

    /// <summary>Ends the waits of a superseded claim, and tells its activation. Called outside of locks.</summary>
    internal void NotifySuperseded()
    {
        _waits.Cancel();
        onSuperseded();
    }

    /// <summary>Deletes what the partition holds. Called once, on the claim of a deletion.</summary>
    internal async Task DeleteAsync()
    {
        try
        {
            await predecessor.ConfigureAwait(false);
            await owner.Provider.DeleteAsync(Partition, TopicId).ConfigureAwait(false);
        }
        finally
        {
            owner.Release(this);
            _settled.SetResult();
        }
    }

    private bool TryMove(ClaimState from, ClaimState to) => Interlocked.CompareExchange(ref _state, to, from) == from;

    // Goes on outside of the grain, whose successor waits for the end of it.
    private async Task<IPartitionLog> OpenLogAsync(TopicConfig config, CancellationToken cancellationToken)
    {
        try
        {
            return await owner.Provider.OpenAsync(Partition, TopicId, config, LeaderEpoch, cancellationToken: cancellationToken)
                .ConfigureAwait(false);
        }
        finally
        {
            _settled.SetResult();
        }
    }
}
