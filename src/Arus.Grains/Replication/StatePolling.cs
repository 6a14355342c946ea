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
    private bool _isBehind;

    /// <summary>Reads all states, however long it takes the store to answer.</summary>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public async Task ReadAllAsync(CancellationToken cancellationToken)
    {
        while (!await TryReadAsync(0, cancellationToken).ConfigureAwait(false))
            await Task.Delay(RetryInterval, time, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Reads what changed since some time ago; to be called about every second.</summary>
    /// <returns>
    /// Whether it was read, so that the image has all that had been changed when this was called. False, too, as long as the store has lost
    /// changes that were committed: nothing of it is believed then.
    /// </returns>
    public async Task<bool> PollAsync(CancellationToken stopping)
    {
        bool isRead = await TryReadAsync(OverlappingVersion(), stopping).ConfigureAwait(false);
        if (isRead && time.GetElapsedTime(_purgedAt) >= PurgeInterval)
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
            // The newest change that is known is read again each time: a store that does not have it has gone back.
            PartitionState? newest = image.Newest;
            IReadOnlyList<PartitionState> states = await store.ReadAsync(
                Math.Min(afterVersion, (newest?.Version ?? long.MaxValue) - 1), cancellationToken).ConfigureAwait(false);
            _failed = false;
            if (IsBehind(newest, states))
                return false;

            image.Update(states);
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

    /// <summary>
    /// Whether the store has lost a change that this broker knows. It is said once, and brokers go on with what they know: swaps of states
    /// that went back are lost, since their versions differ.
    /// </summary>
    private bool IsBehind(PartitionState? newest, IReadOnlyList<PartitionState> read)
    {
        bool isBehind = newest is not null && !read.Any(state => state.Id == newest.Id && state.Version >= newest.Version);
        if (isBehind && !_isBehind)
            LogBehind(newest!.Topic, newest.Id.Partition, newest.LeaderEpoch, newest.Version);
        else if (_isBehind && !isBehind)
            LogNotBehind();

        _isBehind = isBehind;
        return isBehind;
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

    [LoggerMessage(Level = LogLevel.Critical, Message =
        "The database has gone back: it does not have change {Version} any more, of {Topic}-{Partition} in epoch {Epoch}, which was "
        + "committed. An older backup or an asynchronous standby has taken its place. Nothing is taken from it, and partitions that it "
        + "has lost changes of elect no leader: put the newer database back, or write what brokers know with "
        + "`arus cluster restore-metadata`")]
    private partial void LogBehind(string topic, int partition, int epoch, long version);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The database has the changes again that it had lost")]
    private partial void LogNotBehind();

    [LoggerMessage(Level = LogLevel.Warning, Message = "The states of partitions cannot be read, and are read again later: {Reason}")]
    private partial void LogFailed(string reason);
}
