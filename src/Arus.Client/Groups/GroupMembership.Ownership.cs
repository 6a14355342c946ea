using Arus.Protocol;

namespace Arus.Client;

public sealed partial class GroupMembership
{
    private CancellationTokenSource _heartbeatStop = new();
    private Task? _heartbeats;

    /// <summary>Takes over an assignment, and tells the handler what it changes.</summary>
    private async Task ApplyAsync(IReadOnlyList<TopicPartition> assigned)
    {
        HashSet<TopicPartition> before = [.. _owned];
        HashSet<TopicPartition> after = [.. assigned];
        TopicPartition[] revoked = [.. before.Where(partition => !after.Contains(partition))];
        if (revoked.Length > 0)
        {
            // Only now, that this member lets go of them, can others get them.
            await RevokeAsync(revoked);
            RequestRejoin("it has revoked partitions that others wait for");
        }

        MemberIdentity identity = _identity;
        TopicPartition[] gained = [.. assigned.Where(partition => !before.Contains(partition))];
        _owned = [.. assigned];
        _lastOwned = _owned;
        _lastGeneration = identity.GenerationId;
        LogJoined(_options.GroupId, identity.MemberId, identity.GenerationId, assigned.Count);
        using CancellationTokenSource limit = HandlerLimit();
        await _handler.OnPartitionsAssignedAsync(gained, limit.Token);
    }

    private async Task RevokeAsync(IReadOnlyList<TopicPartition> partitions)
    {
        if (partitions.Count == 0)
        {
            return;
        }

        using CancellationTokenSource limit = HandlerLimit();
        try
        {
            await _handler.OnPartitionsRevokedAsync(partitions, limit.Token);
        }
        finally
        {
            HashSet<TopicPartition> gone = [.. partitions];
            _owned = [.. _owned.Where(partition => !gone.Contains(partition))];
        }
    }

    private async Task LoseOwnedAsync()
    {
        IReadOnlyList<TopicPartition> lost = _owned;
        _owned = [];
        if (lost.Count > 0)
        {
            using CancellationTokenSource limit = HandlerLimit();
            await _handler.OnPartitionsLostAsync(lost, limit.Token);
        }
    }

    private CancellationTokenSource HandlerLimit() => new(TimeSpan.FromMilliseconds(_options.RebalanceTimeoutMs), _time);

    /// <summary>
    /// The application does not poll: others shall have its partitions. A static member's place is kept for it as long as its session.
    /// </summary>
    private async Task GiveUpPlaceAsync()
    {
        LogPollExpired(_options.GroupId, _options.MaxPollIntervalMs);
        await StopHeartbeatsAsync();
        await LeaveGroupAsync("max.poll.interval.ms is over without a poll");
        Forget(_options.GroupInstanceId is null ? ErrorCode.UnknownMemberId : ErrorCode.IllegalGeneration);
        await LoseOwnedAsync();
    }

    private async Task LeaveGroupAsync(string reason)
    {
        MemberIdentity self = _identity;
        if (self.MemberId.Length == 0 || self.GroupInstanceId is not null)
        {
            return;
        }

        _identity = self with { MemberId = "", GenerationId = -1 };
        try
        {
            var request = new LeaveGroupRequest
            {
                GroupId = _options.GroupId, Members = [new() { MemberId = self.MemberId, Reason = reason }],
            };
            await _group.LeaveAsync(request).WaitAsync(LeaveTimeout, _time);
        }
        catch (Exception failure) when (GrainRetry.IsTransient(failure))
        {
            // The session will end by itself.
            LogRepeating(_options.GroupId, "leave, without another try,", failure.Message);
        }
    }

    private async Task StopHeartbeatsAsync()
    {
        if (_heartbeats is not { } heartbeats)
        {
            return;
        }

        await _heartbeatStop.CancelAsync();
        await heartbeats;
        _heartbeatStop.Dispose();
        _heartbeatStop = new CancellationTokenSource();
        _heartbeats = null;
    }

    private async Task HeartbeatAsync(MemberIdentity self, CancellationToken stop)
    {
        try
        {
            while (await HeartbeatOnceAsync(self, stop))
            {
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The next join, or the end.
        }
    }

    /// <summary>Waits for the next heartbeat's time and sends it; false when there is no point in another.</summary>
    private async Task<bool> HeartbeatOnceAsync(MemberIdentity self, CancellationToken stop)
    {
        await WaitForHeartbeatAsync(stop);
        lock (_gate)
        {
            if (_time.GetElapsedTime(_lastPoll) > TimeSpan.FromMilliseconds(_options.MaxPollIntervalMs))
            {
                _pollExpired = true;
                Wake();
                return false;
            }
        }

        ErrorCode error;
        try
        {
            var request = new HeartbeatRequest
            {
                GroupId = _options.GroupId,
                MemberId = self.MemberId,
                GroupInstanceId = self.GroupInstanceId,
                GenerationId = self.GenerationId,
            };
            error = (await _group.HeartbeatAsync(request).WaitAsync(stop)).ErrorCode;
        }
        catch (Exception failure) when (GrainRetry.IsTransient(failure))
        {
            LogRepeating(_options.GroupId, "heartbeat", failure.Message);
            return true;
        }

        if (error == ErrorCode.None || error.IsRetriable())
        {
            return true;
        }

        lock (_gate)
        {
            if (error == ErrorCode.RebalanceInProgress)
            {
                _rejoinReason ??= "the group rebalances";
            }
            else
            {
                _lostBy = error;
            }

            Wake();
        }

        // While others join, this member still has its session to keep.
        return error == ErrorCode.RebalanceInProgress;
    }

    private async Task WaitForHeartbeatAsync(CancellationToken stop)
    {
        Task now;
        lock (_gate)
        {
            if (_heartbeatNow.Task.IsCompleted)
            {
                _heartbeatNow = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            now = _heartbeatNow.Task;
        }

        try
        {
            await now.WaitAsync(TimeSpan.FromMilliseconds(_options.HeartbeatIntervalMs), _time, stop);
        }
        catch (TimeoutException)
        {
            // The interval is over.
        }
    }
}
