using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <summary>Makes a member of a group; a seam for tests.</summary>
internal delegate IGroupMembership GroupMembershipFactory(
    GroupMembershipOptions options, IGroupRebalanceHandler handler, ITopicPartitionSource topics);

/// <summary>
/// A consumer's commits, and its part in rebalances. A partition is given up only when the application has finished what it was
/// given of it, which it says by polling again, or when the group waits no longer.
/// </summary>
internal sealed class GroupSession : IGroupRebalanceHandler, IAsyncDisposable
{
    private readonly ConsumerCore core;
    private readonly SemaphoreSlim committing = new(1, 1);
    private readonly AsyncSignal processed;
    private readonly CancellationTokenSource stop = new();
    private IGroupMembership? membership;
    private Task autoCommit = Task.CompletedTask;
    private Task watch = Task.CompletedTask;
    private volatile IReadOnlyCollection<string> subscription = [];

    public GroupSession(ConsumerCore core)
    {
        this.core = core;
        processed = new AsyncSignal(core.Time);
    }

    /// <summary>Answers when no work on these partitions is under way any more, or when it is cancelled.</summary>
    public Func<IReadOnlyList<PartitionFetcher>, CancellationToken, ValueTask>? FinishAsync { get; init; }

    /// <summary>The place in the group; null while partitions are assigned by hand.</summary>
    public IGroupMembership? Membership => membership;

    private ConsumerOptions Options => core.Options;

    public void Subscribe(GroupMembershipFactory factory, ITopicPartitionSource topics, IReadOnlyCollection<string> wanted)
    {
        subscription = wanted;
        if (membership is null)
        {
            membership = factory(
                new GroupMembershipOptions
                {
                    GroupId = Options.GroupId!,
                    ClientId = Options.ClientId,
                    GroupInstanceId = Options.GroupInstanceId,
                    SessionTimeoutMs = (int)Options.SessionTimeout.TotalMilliseconds,
                    HeartbeatIntervalMs = (int)Options.HeartbeatInterval.TotalMilliseconds,
                    MaxPollIntervalMs = (int)Options.MaxPollInterval.TotalMilliseconds,
                    RetryBackoffMs = (int)Options.RetryBackoff.TotalMilliseconds,
                    RetryBackoffMaxMs = (int)Options.RetryBackoffMax.TotalMilliseconds,
                    Assignors = Options.PartitionAssignmentStrategy,
                },
                this,
                topics);
            _ = SignalEndAsync(membership.Completion);
            watch = watch.IsCompleted ? WatchPartitionsAsync(topics) : watch;
        }

        membership.Subscribe(wanted);
    }

    /// <summary>Begins to commit in the background, where that is wanted.</summary>
    public void StartAutoCommit()
    {
        if (Options is { EnableAutoCommit: true, GroupId: not null } && autoCommit.IsCompleted && !stop.IsCancellationRequested)
        {
            autoCommit = AutoCommitAsync();
        }
    }

    /// <summary>The application polls: it is alive, and done with what it was given before.</summary>
    public void RecordPoll()
    {
        membership?.RecordPoll();
        processed.Set();
    }

    /// <summary>Throws what ended the membership, if something did.</summary>
    public async ValueTask ThrowIfEndedAsync()
    {
        if (membership is { Completion.IsFaulted: true } ended)
        {
            await ended.Completion.ConfigureAwait(false);
        }
    }

    public async Task LeaveAsync(string reason, CancellationToken cancellationToken)
    {
        if (membership is { } left)
        {
            try
            {
                await left.LeaveAsync(reason, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                membership = null;
                await left.DisposeAsync().ConfigureAwait(false);
                core.Remove(null);
            }
        }
    }

    /// <summary>Commits, and throws unless all of it was accepted.</summary>
    public async Task CommitAsync(CommittedOffset[] offsets, CancellationToken cancellationToken)
    {
        if (offsets.Length == 0)
        {
            return;
        }

        // One at a time: an older commit that arrives after a newer one would take the group back.
        await committing.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            MemberIdentity member = membership?.Identity ?? new MemberIdentity("", GroupInstanceId: null, GenerationId: -1);
            ErrorCode[] errors = await core.CommitAsync(member, offsets, cancellationToken).ConfigureAwait(false);
            for (int i = 0; i < offsets.Length && i < errors.Length; i++)
            {
                if (errors[i] == ErrorCode.None && core.Find(offsets[i].Partition) is { } fetcher)
                {
                    fetcher.MarkCommitted(offsets[i].Offset);
                }
            }

            ErrorCode error = errors.FirstOrDefault(e => e != ErrorCode.None);
            if (error != ErrorCode.None)
            {
                membership?.ReportCommitError(error);
                throw new CommitFailedException(error, $"Group '{Options.GroupId}' did not accept the offsets: {Explain(error)}");
            }
        }
        finally
        {
            committing.Release();
        }
    }

    /// <summary>Commits what the application has finished of these partitions and the group does not know yet.</summary>
    public Task CommitProcessedAsync(IEnumerable<PartitionFetcher> fetchers, CancellationToken cancellationToken) => CommitAsync(
        [.. fetchers.Where(f => f.Processed >= 0 && f.Processed != f.Committed)
            .Select(f => new CommittedOffset(f.Partition, f.Processed, f.LeaderEpoch, ""))],
        cancellationToken);

    public async ValueTask OnPartitionsAssignedAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken)
    {
        if (Options.RebalanceListener is { } listener)
        {
            await listener.OnPartitionsAssignedAsync(partitions, cancellationToken).ConfigureAwait(false);
        }

        if (partitions.Count == 0)
        {
            return;
        }

        CommittedOffset[] committed = await core.FetchCommittedAsync([.. partitions], cancellationToken).ConfigureAwait(false);
        core.Add(committed.Select(c => new TopicPartitionOffset(c.Partition, c.Offset >= 0 ? c.Offset : TopicPartitionOffset.Stored)));
        foreach (CommittedOffset known in committed)
        {
            if (core.Find(known.Partition) is { } fetcher)
            {
                fetcher.Committed = known.Offset;
            }
        }
    }

    public async ValueTask OnPartitionsRevokedAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken)
    {
        PartitionFetcher[] fetchers = [.. partitions.Select(core.Find).OfType<PartitionFetcher>()];
        foreach (PartitionFetcher fetcher in fetchers)
        {
            fetcher.BeginRevoke();
        }

        try
        {
            await (FinishAsync ?? WaitForPollAsync)(fetchers, cancellationToken).ConfigureAwait(false);
            if (Options.EnableAutoCommit)
            {
                await CommitLastAsync(fetchers, cancellationToken).ConfigureAwait(false);
            }

            if (Options.RebalanceListener is { } listener)
            {
                await listener.OnPartitionsRevokedAsync(partitions, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (CommitFailedException e)
        {
            core.Logger.LogWarning(e, "The last commit of revoked partitions failed; their records may be processed again");
        }
        finally
        {
            core.Remove(partitions);
        }
    }

    /// <summary>The partitions go whether this commit succeeds or not, so its failure is no reason to end the membership.</summary>
    private async ValueTask CommitLastAsync(PartitionFetcher[] fetchers, CancellationToken cancellationToken)
    {
        try
        {
            await CommitProcessedAsync(fetchers, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            core.Logger.LogWarning(e, "The last commit of revoked partitions failed; their records may be processed again");
        }
    }

    public ValueTask OnPartitionsLostAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken)
    {
        core.Logger.LogWarning("Group {Group}: partitions {Partitions} were lost", Options.GroupId, string.Join(", ", partitions));
        core.Remove(partitions);
        return Options.RebalanceListener?.OnPartitionsLostAsync(partitions, cancellationToken) ?? default;
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync().ConfigureAwait(false);
        processed.Set();
        await Task.WhenAll(autoCommit, watch).ConfigureAwait(false);
    }

    private static string Explain(ErrorCode error) => error switch
    {
        ErrorCode.UnknownMemberId or ErrorCode.IllegalGeneration or ErrorCode.RebalanceInProgress =>
            $"{error}: the group rebalanced meanwhile and the partitions may belong to others. Poll more often, take fewer records at a time "
            + "(max.poll.records), or allow more time (max.poll.interval.ms).",
        ErrorCode.FencedInstanceId => $"{error}: another consumer has the same group.instance.id.",
        _ => error.ToString(),
    };

    private async ValueTask WaitForPollAsync(IReadOnlyList<PartitionFetcher> fetchers, CancellationToken cancellationToken)
    {
        while (fetchers.Any(f => f.HasUnprocessed) && !cancellationToken.IsCancellationRequested && !stop.IsCancellationRequested)
        {
            await processed.WaitAsync(Options.MaxPollInterval, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task AutoCommitAsync()
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(Options.AutoCommitInterval, core.Time, stop.Token).ConfigureAwait(false);
                await CommitProcessedAsync(core.All(), stop.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // Whatever it was, the next interval tries again, with what is then processed: commits must not end unnoticed.
                core.Logger.LogWarning(e, "Auto-commit of group {Group} failed", Options.GroupId);
            }
        }
    }

    /// <summary>Partitions that a subscribed topic has got belong to nobody until the group divides them.</summary>
    private async Task WatchPartitionsAsync(ITopicPartitionSource topics)
    {
        IReadOnlyDictionary<string, int>? known = null;
        while (!stop.IsCancellationRequested)
        {
            try
            {
                IReadOnlyDictionary<string, int> now = await topics.GetPartitionCountsAsync(subscription, stop.Token).ConfigureAwait(false);
                if (known is not null && now.Any(topic => known.GetValueOrDefault(topic.Key) != topic.Value))
                {
                    membership?.RequestRejoin("the partitions of a subscribed topic have changed");
                }

                known = now;
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // Whatever it was, the next look may succeed.
                core.Logger.LogWarning(e, "Group {Group}: the partitions of its topics could not be read", Options.GroupId);
            }

            Task pause = Task.Delay(Options.MetadataMaxAge, core.Time, stop.Token);
            await pause.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>A poll that waits must hear that the membership is over.</summary>
    private async Task SignalEndAsync(Task completion)
    {
        await completion.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        core.SignalPoll();
    }
}
