using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <summary>Commits offsets of one consumer, by hand and in the background, one commit at a time. Thread-safe.</summary>
internal sealed class OffsetCommitter(ConsumerCore core) : IAsyncDisposable
{
    private readonly SemaphoreSlim _committing = new(1, 1);
    private readonly CancellationTokenSource _stop = new();
    private Task _autoCommit = Task.CompletedTask;

    private ConsumerOptions Options => core.Options;

    /// <summary>Begins to commit in the background, if auto-commit is on.</summary>
    public void StartAutoCommit()
    {
        if (Options is { EnableAutoCommit: true, GroupId: not null } && _autoCommit.IsCompleted && !_stop.IsCancellationRequested)
            _autoCommit = AutoCommitAsync();
    }

    /// <summary>Commits the application's own offsets, and throws unless all of them were accepted.</summary>
    public Task CommitAsync(IEnumerable<CommittedOffset> offsets, CancellationToken cancellationToken) => CommitAsync(
        [.. offsets.Select(o => core.Find(o.Partition) is { } fetcher ? new OffsetToCommit(o, fetcher, fetcher.Version) : new(o, null, 0))],
        cancellationToken);

    /// <summary>Commits the processed positions of these partitions that are not committed yet.</summary>
    /// <param name="unfinished">Those that were delivered, instead.</param>
    public Task CommitAsync(IEnumerable<PartitionFetcher> fetchers, CancellationToken cancellationToken, bool unfinished = false) =>
        CommitAsync([.. fetchers.Select(f => f.NextCommit(unfinished)).OfType<OffsetToCommit>()], cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _autoCommit.ConfigureAwait(false);
    }

    private async Task CommitAsync(OffsetToCommit[] offsets, CancellationToken cancellationToken)
    {
        if (offsets.Length == 0)
            return;

        // One at a time: an older commit that arrives after a newer one would move the group's offsets back.
        await _committing.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            ErrorCode[] errors = await core.CommitAsync(Array.ConvertAll(offsets, o => o.Offset), cancellationToken).ConfigureAwait(false);
            for (int i = 0; i < offsets.Length && i < errors.Length; i++)
            {
                if (errors[i] == ErrorCode.None)
                    offsets[i].Fetcher?.MarkCommitted(offsets[i].Offset.Offset, offsets[i].Version);
            }

            ErrorCode error = errors.FirstOrDefault(e => e != ErrorCode.None);
            if (error != ErrorCode.None)
            {
                core.Membership?.ReportCommitError(error);
                throw new CommitFailedException(error, $"Group '{Options.GroupId}' did not accept the offsets: {Explain(error)}");
            }
        }
        finally
        {
            _committing.Release();
        }
    }

    private static string Explain(ErrorCode error) => error switch
    {
        ErrorCode.UnknownMemberId or ErrorCode.IllegalGeneration or ErrorCode.RebalanceInProgress =>
            $"{error}: the group has rebalanced, and the partitions may belong to others. Poll more often, take fewer records at a time "
            + "(max.poll.records), or allow more time (max.poll.interval.ms).",
        ErrorCode.FencedInstanceId => $"{error}: another consumer has the same group.instance.id.",
        _ => error.ToString(),
    };

    private async Task AutoCommitAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(Options.AutoCommitInterval, core.Time, _stop.Token).ConfigureAwait(false);
                await CommitAsync(core.All(), _stop.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // The next interval commits again: auto-commit must not stop without a log line.
                core.Logger.LogWarning(e, "Auto-commit of group {Group} failed", Options.GroupId);
            }
        }
    }
}

/// <summary>An offset that is being committed.</summary>
/// <param name="Fetcher">Of its partition; null for one that is not read here.</param>
/// <param name="Version">The fetcher's, when the offset was taken.</param>
internal readonly record struct OffsetToCommit(CommittedOffset Offset, PartitionFetcher? Fetcher, int Version);
