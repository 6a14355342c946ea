using System.Text.RegularExpressions;
using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <summary>Makes a member of a group; a seam for tests.</summary>
internal delegate IGroupMembership GroupMembershipFactory(
    ConsumerOptions options, IGroupRebalanceHandler handler, ITopicPartitionSource topics);

/// <summary>
/// A consumer's membership in its group, and its part in rebalances. A partition is revoked once the application has finished its records,
/// which the next poll says, or once the rebalance timeout is over.
/// </summary>
internal sealed class GroupSession : IGroupRebalanceHandler, IAsyncDisposable
{
    private readonly ConsumerCore _core;
    private readonly TopicMetadata _topics;
    private readonly SubscriptionWatch _watch;
    private readonly AsyncSignal _processed;
    private readonly CancellationTokenSource _stop = new();
    private IGroupMembership? _membership;

    public GroupSession(ConsumerCore core, TopicMetadata topics)
    {
        _core = core;
        _topics = topics;
        _processed = new AsyncSignal(core.Time);
        Offsets = new OffsetCommitter(core, () => _membership);
        _watch = new SubscriptionWatch(core, topics, () => _membership);
    }

    /// <summary>Answers when no work on these partitions is under way any more, or when it is cancelled.</summary>
    public Func<IReadOnlyList<PartitionFetcher>, CancellationToken, ValueTask>? FinishAsync { get; init; }

    /// <summary>The place in the group; null while partitions are assigned by hand.</summary>
    public IGroupMembership? Membership => _membership;

    public OffsetCommitter Offsets { get; }

    private ConsumerOptions Options => _core.Options;

    /// <summary>Subscribes to these topics.</summary>
    public void Subscribe(GroupMembershipFactory factory, IReadOnlyCollection<string> wanted)
    {
        Join(factory);
        _watch.Watch(wanted);
    }

    /// <summary>Subscribes to the topics whose names match, existing or new. The group is joined once there is one.</summary>
    public void Subscribe(GroupMembershipFactory factory, Regex pattern)
    {
        Join(factory);
        _watch.Watch(pattern);
    }

    /// <summary>Notes that the application is alive.</summary>
    public void RecordLife() => _membership?.RecordPoll();

    /// <summary>Notes that the application polls, and so has finished the records of the poll before.</summary>
    public void RecordPoll()
    {
        _membership?.RecordPoll();
        _processed.Set();
    }

    /// <summary>Throws what ended the membership, if something did.</summary>
    public async ValueTask ThrowIfEndedAsync()
    {
        if (_membership is { Completion.IsFaulted: true } ended)
            await ended.Completion.ConfigureAwait(false);
    }

    public async Task LeaveAsync(string reason, CancellationToken cancellationToken)
    {
        if (_membership is { } left)
        {
            try
            {
                _watch.Clear();
                await left.LeaveAsync(reason, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                _membership = null;
                await left.DisposeAsync().ConfigureAwait(false);
                _core.Remove(null);
            }
        }
    }

    public async ValueTask OnPartitionsAssignedAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken)
    {
        if (Options.RebalanceListener is { } listener)
            await listener.OnPartitionsAssignedAsync(partitions, cancellationToken).ConfigureAwait(false);

        if (partitions.Count == 0)
            return;

        CommittedOffset[] committed = await _core.FetchCommittedAsync([.. partitions], cancellationToken).ConfigureAwait(false);
        _core.Add(committed.Select(c => new TopicPartitionOffset(c.Partition, c.Offset >= 0 ? c.Offset : TopicPartitionOffset.Stored)));
        foreach (CommittedOffset known in committed)
        {
            if (_core.Find(known.Partition) is { } fetcher)
                fetcher.Committed = known.Offset;
        }
    }

    public async ValueTask OnPartitionsRevokedAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken)
    {
        PartitionFetcher[] fetchers = [.. partitions.Select(_core.Find).OfType<PartitionFetcher>()];
        foreach (PartitionFetcher fetcher in fetchers)
            fetcher.BeginRevoke();

        try
        {
            await (FinishAsync ?? WaitForPollAsync)(fetchers, cancellationToken).ConfigureAwait(false);
            if (Options.EnableAutoCommit)
                await CommitLastAsync(fetchers, cancellationToken).ConfigureAwait(false);

            if (Options.RebalanceListener is { } listener)
                await listener.OnPartitionsRevokedAsync(partitions, cancellationToken).ConfigureAwait(false);
        }
        catch (CommitFailedException e)
        {
            _core.Logger.LogWarning(e, "The last commit of revoked partitions failed; their records may be processed again");
        }
        finally
        {
            _core.Remove(partitions);
        }
    }

    /// <summary>The partitions are revoked whether or not this commit succeeds, so its failure does not end the membership.</summary>
    private async ValueTask CommitLastAsync(PartitionFetcher[] fetchers, CancellationToken cancellationToken)
    {
        try
        {
            await Offsets.CommitProcessedAsync(fetchers, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            _core.Logger.LogWarning(e, "The last commit of revoked partitions failed; their records may be processed again");
        }
    }

    public ValueTask OnPartitionsLostAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken)
    {
        _core.Logger.LogWarning("Group {Group}: partitions {Partitions} were lost", Options.GroupId, string.Join(", ", partitions));
        _core.Remove(partitions);
        return Options.RebalanceListener?.OnPartitionsLostAsync(partitions, cancellationToken) ?? default;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        _processed.Set();
        await _watch.DisposeAsync().ConfigureAwait(false);
        await Offsets.DisposeAsync().ConfigureAwait(false);
    }

    private void Join(GroupMembershipFactory factory)
    {
        if (_membership is not null)
            return;

        _membership = factory(Options, this, _topics);
        _ = SignalEndAsync(_membership.Completion);
    }

    private async ValueTask WaitForPollAsync(IReadOnlyList<PartitionFetcher> fetchers, CancellationToken cancellationToken)
    {
        while (fetchers.Any(f => f.HasUnprocessed) && !cancellationToken.IsCancellationRequested && !_stop.IsCancellationRequested)
            await _processed.WaitAsync(Options.MaxPollInterval, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>A poll that waits must hear that the membership is over.</summary>
    private async Task SignalEndAsync(Task completion)
    {
        await completion.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _core.SignalPoll();
    }
}
