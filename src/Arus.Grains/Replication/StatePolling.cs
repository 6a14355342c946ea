using Arus.Coordination.Replication;
using Microsoft.Extensions.Logging;

namespace Arus.Grains;

/// <summary>
/// Reads from the store what changed, so that an announcement that was lost does no harm. Changes may become visible in another order than
/// they were numbered, since they commit in any order; so each poll asks for what changed since some time ago.
/// </summary>
internal sealed partial class StatePolling(
    IPartitionStateStore store, PartitionImage image, TimeProvider time, ILogger<StatePolling> logger)
{
    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(1);

    /// <summary>Longer than any transaction that changes states may take.</summary>
    private static readonly TimeSpan Overlap = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan PurgeInterval = TimeSpan.FromMinutes(10);

    /// <summary>A broker that was away for longer keeps the directories of topics that were deleted meanwhile, and reports them.</summary>
    private static readonly TimeSpan DeletedFor = TimeSpan.FromDays(1);

    private readonly Queue<(long At, long Version)> _seen = [];
    private long _overlapping;
    private long _purgedAt = time.GetTimestamp();
    private bool _failed;

    /// <summary>Reads all states, however long it takes the store to answer.</summary>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public async Task ReadAllAsync(CancellationToken cancellationToken)
    {
        while (!await TryReadAsync(0, cancellationToken).ConfigureAwait(false))
            await Task.Delay(RetryInterval, time, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Reads what changed since some time ago; to be called about every second.</summary>
    /// <returns>Whether it was read, so that the image has all that had been changed when this was called.</returns>
    public async Task<bool> PollAsync(CancellationToken stopping)
    {
        bool isRead = await TryReadAsync(OverlappingVersion(), stopping).ConfigureAwait(false);
        if (time.GetElapsedTime(_purgedAt) >= PurgeInterval)
            await TryPurgeAsync(stopping).ConfigureAwait(false);

        return isRead;
    }

    /// <summary>The highest version that was known when all that is numbered below it had been committed.</summary>
    private long OverlappingVersion()
    {
        _seen.Enqueue((time.GetTimestamp(), image.LatestVersion));
        long version = 0;
        while (_seen.TryPeek(out (long At, long Version) oldest) && time.GetElapsedTime(oldest.At) >= Overlap)
            version = _seen.Dequeue().Version;

        if (version > 0)
            _overlapping = version;

        return _overlapping;
    }

    private async Task<bool> TryReadAsync(long afterVersion, CancellationToken cancellationToken)
    {
        try
        {
            image.Update(await store.ReadAsync(afterVersion, cancellationToken).ConfigureAwait(false));
            _failed = false;
            return true;
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            if (!_failed)
                LogFailed(e.GetBaseException().Message);

            _failed = true;
            return false;
        }
    }

    private async Task TryPurgeAsync(CancellationToken cancellationToken)
    {
        _purgedAt = time.GetTimestamp();
        try
        {
            await store.PurgeAsync(DeletedFor, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            LogFailed(e.GetBaseException().Message);
            return;
        }

        foreach (PartitionState state in image.All.Where(state => state.IsDeleted && state.Version <= _overlapping).ToList())
            image.Forget(state.Id);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The states of partitions cannot be read, and are read again later: {Reason}")]
    private partial void LogFailed(string reason);
}
