using Arus.Grains;
using Arus.Protocol;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <inheritdoc cref="IGroupMembership"/>
/// <remarks>
/// One loop joins, applies its assignment, and waits for a reason to join again. A second one sends heartbeats, also while the handler
/// works, from the sync that begins a generation to the join that ends it.
/// </remarks>
/// <param name="options">Validated, with a group id.</param>
/// <param name="handler">Called when partitions are assigned, revoked or lost.</param>
/// <param name="countPartitions">Called when this member leads the group.</param>
internal sealed partial class GroupMembership(
    IGroupGrain group, ConsumerOptions options, IConsumerRebalanceListener handler, PartitionCountSource countPartitions, SiloLosses losses,
    TimeProvider time, ILogger logger) : IGroupMembership
{
    private static readonly TimeSpan LeaveTimeout = TimeSpan.FromSeconds(5);

    private readonly string _groupId = options.GroupId!;
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly AsyncSignal _wake = new(time);
    private readonly AsyncSignal _heartbeatNow = new(time);

    // Under _gate.
    private string[] _topics = [];
    private string? _rejoinReason;
    private ErrorCode _lostBy;
    private bool _pollExpired;
    private string? _leaveReason;
    private long _lastPoll;
    private Task? _loop;

    // Only the loop changes what follows.
    private volatile MemberIdentity _identity = new("", options.GroupInstanceId, -1);
    private volatile IReadOnlyList<TopicPartition> _owned = [];
    private CancellationTokenSource _heartbeatStop = new();
    private Task? _heartbeats;

    public MemberIdentity Identity => _identity;

    /// <summary>The partitions owned now; a new list at each change.</summary>
    public IReadOnlyList<TopicPartition> Assignment => _owned;

    public Task Completion => _completion.Task;

    public void Subscribe(IReadOnlyCollection<string> topics)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_leaveReason is not null, this);
            _topics = [.. topics.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
            _lastPoll = time.GetTimestamp();
            _loop ??= Task.Run(RunAsync);
            RequestRejoin("the subscription has changed");
        }
    }

    public void RecordPoll()
    {
        lock (_gate)
        {
            _lastPoll = time.GetTimestamp();
            if (_pollExpired)
            {
                _pollExpired = false;
                _wake.Set();
            }
        }
    }

    public void RequestRejoin(string reason)
    {
        lock (_gate)
        {
            _rejoinReason ??= reason;
            _wake.Set();
        }
    }

    public void ReportCommitError(ErrorCode error)
    {
        if (error is ErrorCode.UnknownMemberId or ErrorCode.IllegalGeneration
            or ErrorCode.FencedInstanceId or ErrorCode.RebalanceInProgress)
        {
            // The commit may have been of an older generation. The answer to a heartbeat is of the current one.
            _heartbeatNow.Set();
        }
    }

    public async Task LeaveAsync(string reason, CancellationToken cancellationToken = default)
    {
        Task? loop;
        lock (_gate)
        {
            _leaveReason ??= reason;
            loop = _loop;
        }

        await _stop.CancelAsync();
        if (loop is null)
        {
            _completion.TrySetResult();
            return;
        }

        await loop.WaitAsync(cancellationToken);
    }

    public async ValueTask DisposeAsync() => await LeaveAsync("the consumer is being closed");

    private async Task RunAsync()
    {
        Exception? failure = await FailureOfAsync(MaintainAsync(_stop.Token));
        if (failure is OperationCanceledException && _stop.IsCancellationRequested)
            failure = null;

        if (failure is not null)
            logger.LogError(failure, "The membership in group {Group} ends", _groupId);

        Exception? last = await FailureOfAsync(EndAsync(failure));
        failure ??= last;
        if (failure is null)
            _completion.TrySetResult();
        else
            _completion.TrySetException(failure);
    }

    private static async Task<Exception?> FailureOfAsync(Task task)
    {
        try
        {
            await task;
            return null;
        }
        catch (Exception failure)
        {
            return failure;
        }
    }

    private async Task EndAsync(Exception? failure)
    {
        try
        {
            bool fenced = failure is ArusException { Code: ErrorCode.FencedInstanceId };
            await (fenced ? LoseOwnedAsync() : RevokeAsync(_owned));
        }
        finally
        {
            await StopHeartbeatsAsync();
            await LeaveGroupAsync(failure is null ? _leaveReason! : "the consumer failed");
        }
    }

    private async Task MaintainAsync(CancellationToken stop)
    {
        while (true)
        {
            while (!HasReasonToAct())
            {
                await _wake.WaitAsync(Timeout.InfiniteTimeSpan, stop);
                stop.ThrowIfCancellationRequested();
            }

            if (_lostBy == ErrorCode.FencedInstanceId)
            {
                throw new ArusException(
                    _lostBy, $"Another member of group '{_groupId}' has taken group.instance.id '{options.GroupInstanceId}'.");
            }

            if (_pollExpired)
            {
                await LeaveUntilPolledAsync();
                continue;
            }

            await PrepareToJoinAsync();
            await StopHeartbeatsAsync();
            ForgetIfLost();
            IReadOnlyList<TopicPartition> assigned = await JoinAsync(stop);
            _heartbeats = Task.Run(() => HeartbeatAsync(_identity, _heartbeatStop.Token), CancellationToken.None);
            await ApplyAsync(assigned);
        }
    }

    /// <summary>Outside of the group, the member joins as soon as the application polls.</summary>
    private bool HasReasonToAct()
    {
        lock (_gate)
            return _heartbeats is null ? !_pollExpired : _pollExpired || _lostBy != ErrorCode.None || _rejoinReason is not null;
    }

    private async Task StopHeartbeatsAsync()
    {
        if (_heartbeats is { } heartbeats)
        {
            await _heartbeatStop.CancelAsync();
            await heartbeats;
            _heartbeatStop.Dispose();
            _heartbeatStop = new CancellationTokenSource();
            _heartbeats = null;
        }
    }

    /// <summary>Sends heartbeats until it is stopped or the member has lost its place.</summary>
    private async Task HeartbeatAsync(MemberIdentity self, CancellationToken stop)
    {
        var request = new HeartbeatRequest
        {
            GroupId = _groupId,
            MemberId = self.MemberId,
            GroupInstanceId = self.GroupInstanceId,
            GenerationId = self.GenerationId,
        };
        for (bool hasPlace = true; hasPlace;)
        {
            await _heartbeatNow.WaitAsync(options.HeartbeatInterval, stop);
            if (stop.IsCancellationRequested || CheckPollExpired())
                return;

            try
            {
                HeartbeatResponse answer = await losses.CallAsync(_ => group.HeartbeatAsync(request), options.SessionTimeout, stop);
                hasPlace = Heed(answer.ErrorCode);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception failure) when (GrainRetry.IsTransient(failure))
            {
                LogRetrying("heartbeat", failure.Message);
            }
        }
    }

    private bool CheckPollExpired()
    {
        lock (_gate)
        {
            if (time.GetElapsedTime(_lastPoll) > options.MaxPollInterval)
            {
                _pollExpired = true;
                _wake.Set();
            }

            return _pollExpired;
        }
    }

    /// <summary>Acts on the answer to a heartbeat; false if the member has lost its place.</summary>
    private bool Heed(ErrorCode error)
    {
        if (error == ErrorCode.RebalanceInProgress)
        {
            // While others join, this member still has its session to keep.
            RequestRejoin("the group rebalances");
        }
        else if (error != ErrorCode.None && !error.IsRetriable())
        {
            lock (_gate)
            {
                _lostBy = error;
                _wake.Set();
            }

            return false;
        }

        return true;
    }
}
