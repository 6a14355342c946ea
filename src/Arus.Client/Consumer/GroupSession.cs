using System.Text.RegularExpressions;
using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <summary>Makes a member of a group; a seam for tests.</summary>
internal delegate IGroupMembership GroupMembershipFactory(
    ConsumerOptions options, IConsumerRebalanceListener handler, PartitionCountSource countPartitions);

/// <summary>
/// A consumer's membership in its group, and its part in rebalances. A partition is revoked once the application has finished its records,
/// which the next poll says, or once the rebalance timeout is over.
/// </summary>
/// <param name="finishAsync">Completes when no work on these partitions is under way, or when cancelled; null waits for a poll.</param>
internal sealed class GroupSession(
    ConsumerCore core, TopicMetadata topics, GroupMembershipFactory groups,
    Func<IReadOnlyList<PartitionFetcher>, CancellationToken, ValueTask>? finishAsync = null) : IConsumerRebalanceListener, IAsyncDisposable
{
    private readonly IConsumerRebalanceListener _listener = core.Options.RebalanceListener ?? new NoListener();
    private readonly SubscriptionWatch _watch = new(core, topics);
    private readonly AsyncSignal _processed = new(core.Time);
    private readonly CancellationTokenSource _stop = new();

    public OffsetCommitter Offsets { get; } = new(core);

    private ConsumerOptions Options => core.Options;

    /// <summary>
    /// Subscribes to the topics whose names match, existing or new, and joins the group once there is one; without a pattern, to
    /// <paramref name="wanted"/>.
    /// </summary>
    public void Subscribe(Regex? pattern, IReadOnlyCollection<string> wanted)
    {
        if (core.Membership is null)
        {
            core.Membership = groups(Options, this, topics.GetPartitionCountsAsync);
            _ = SignalEndAsync(core.Membership.Completion);
        }

        _watch.Watch(pattern, wanted);
        Offsets.StartAutoCommit();
    }

    /// <summary>Notes that the application polls, and so has finished the records of the poll before.</summary>
    public void RecordPoll()
    {
        core.Membership?.RecordPoll();
        _processed.Set();
    }

    /// <summary>Throws the failure that ended the membership, if one did.</summary>
    public async ValueTask ThrowIfEndedAsync()
    {
        if (core.Membership is { Completion.IsFaulted: true } ended)
            await ended.Completion.ConfigureAwait(false);
    }

    public async Task LeaveAsync(string reason, CancellationToken cancellationToken)
    {
        if (core.Membership is { } left)
        {
            try
            {
                _watch.Clear();
                await left.LeaveAsync(reason, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                core.Membership = null;
                await left.DisposeAsync().ConfigureAwait(false);
                core.Remove(null);
            }
        }
    }

    public async ValueTask OnPartitionsAssignedAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken)
    {
        await _listener.OnPartitionsAssignedAsync(partitions, cancellationToken).ConfigureAwait(false);
        if (partitions.Count == 0)
            return;

        CommittedOffset[] committed = await core.FetchCommittedAsync([.. partitions], cancellationToken).ConfigureAwait(false);
        core.Add(committed.Select(c => new TopicPartitionOffset(c.Partition, c.Offset >= 0 ? c.Offset : TopicPartitionOffset.Stored)));
        foreach (CommittedOffset known in committed)
            core.Find(known.Partition)?.MarkCommitted(known.Offset);
    }

    public async ValueTask OnPartitionsRevokedAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken)
    {
        PartitionFetcher[] fetchers = [.. partitions.Select(core.Find).OfType<PartitionFetcher>()];
        foreach (PartitionFetcher fetcher in fetchers)
            fetcher.BeginRevoke();

        try
        {
            await (finishAsync ?? WaitForPollAsync)(fetchers, cancellationToken).ConfigureAwait(false);
            try
            {
                if (Options.EnableAutoCommit)
                    await Offsets.CommitAsync(fetchers, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                // The partitions are revoked whether or not this commit succeeds, so its failure does not end the membership.
                LogLastCommitFailed(e);
            }

            await _listener.OnPartitionsRevokedAsync(partitions, cancellationToken).ConfigureAwait(false);
        }
        catch (CommitFailedException e)
        {
            LogLastCommitFailed(e);
        }
        finally
        {
            core.Remove(partitions);
        }
    }

    public ValueTask OnPartitionsLostAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken)
    {
        core.Logger.LogWarning("Group {Group}: partitions {Partitions} were lost", Options.GroupId, string.Join(", ", partitions));
        core.Remove(partitions);
        return _listener.OnPartitionsLostAsync(partitions, cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        _processed.Set();
        await _watch.DisposeAsync().ConfigureAwait(false);
        await Offsets.DisposeAsync().ConfigureAwait(false);
    }

    private void LogLastCommitFailed(Exception e) =>
        core.Logger.LogWarning(e, "The last commit of revoked partitions failed; their records may be processed again");

    private async ValueTask WaitForPollAsync(IReadOnlyList<PartitionFetcher> fetchers, CancellationToken cancellationToken)
    {
        while (fetchers.Any(f => f.HasUnprocessed) && !cancellationToken.IsCancellationRequested && !_stop.IsCancellationRequested)
            await _processed.WaitAsync(Options.MaxPollInterval, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>A poll that waits is woken when the membership ends.</summary>
    private async Task SignalEndAsync(Task completion)
    {
        await completion.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        core.SignalPoll();
    }

    private sealed class NoListener : IConsumerRebalanceListener;
}
