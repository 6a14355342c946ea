using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <inheritdoc cref="IGroupMembership"/>
/// <remarks>
/// One loop joins, applies what it is given, and waits for a reason to join again; beside it a second one sends heartbeats, also while the
/// handler works, from the sync that gives a generation to the join that ends it.
/// </remarks>
public sealed partial class GroupMembership : IGroupMembership
{
    private static readonly TimeSpan LeaveTimeout = TimeSpan.FromSeconds(5);

    private readonly IGroupGrain _group;
    private readonly GroupMembershipOptions _options;
    private readonly IGroupRebalanceHandler _handler;
    private readonly ITopicPartitionSource _partitions;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly IReadOnlyList<IPartitionAssignor> _assignors;
    private readonly bool _cooperative;

    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource _wake = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource _heartbeatNow = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // Under _gate.
    private string[] _topics = [];
    private string? _rejoinReason;
    private ErrorCode _lostBy;
    private bool _pollExpired;
    private bool _leaving;
    private string _leaveReason = "";
    private long _lastPoll;
    private Task? _loop;

    private volatile MemberIdentity _identity;
    private volatile IReadOnlyList<TopicPartition> _owned = [];

    /// <param name="group">The coordinator.</param>
    /// <param name="options">What the member tells it.</param>
    /// <param name="handler">Told of partitions that come and go.</param>
    /// <param name="partitions">Asked when this member leads the group.</param>
    /// <param name="time">The clock of heartbeats and timeouts.</param>
    /// <param name="logger">Gets one line for each rebalance.</param>
    /// <exception cref="ArgumentException">An option is out of its range; the message names its key.</exception>
    public GroupMembership(
        IGroupGrain group, GroupMembershipOptions options, IGroupRebalanceHandler handler, ITopicPartitionSource partitions,
        TimeProvider time,
        ILogger logger)
    {
        _group = group;
        _options = options;
        _handler = handler;
        _partitions = partitions;
        _time = time;
        _logger = logger;
        _assignors = options.Assignors ?? PartitionAssignors.Default;
        _cooperative = _assignors.All(assignor => assignor.Protocol == RebalanceProtocol.Cooperative);
        _identity = new MemberIdentity("", options.GroupInstanceId, -1);
        Check(_assignors.Count > 0, "partition.assignment.strategy must name an assignor");
        Check(
            _assignors.DistinctBy(assignor => assignor.Name).Count() == _assignors.Count,
            "partition.assignment.strategy must not name an assignor twice");
        Check(options.HeartbeatIntervalMs > 0, "heartbeat.interval.ms must be greater than 0");
        Check(options.HeartbeatIntervalMs < options.SessionTimeoutMs, "heartbeat.interval.ms must be less than session.timeout.ms");
        Check(options.MaxPollIntervalMs > 0, "max.poll.interval.ms must be greater than 0");
        Check(
            options.RetryBackoffMs >= 0 && options.RetryBackoffMaxMs >= options.RetryBackoffMs,
            "retry.backoff.max.ms must not be less than retry.backoff.ms");
    }

    public MemberIdentity Identity => _identity;

    public IReadOnlyList<TopicPartition> Assignment => _owned;

    public Task Completion => _completion.Task;

    public void Subscribe(IReadOnlyCollection<string> topics)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_leaving, this);
            _topics = [.. topics.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
            _lastPoll = _time.GetTimestamp();
            _rejoinReason ??= "the subscription has changed";
            _loop ??= Task.Run(RunAsync);
            Wake();
        }
    }

    public void RecordPoll()
    {
        lock (_gate)
        {
            _lastPoll = _time.GetTimestamp();
            if (_pollExpired)
            {
                _pollExpired = false;
                Wake();
            }
        }
    }

    public void RequestRejoin(string reason)
    {
        lock (_gate)
        {
            _rejoinReason ??= reason;
            Wake();
        }
    }

    public void ReportCommitError(ErrorCode error)
    {
        if (error is ErrorCode.UnknownMemberId or ErrorCode.IllegalGeneration
            or ErrorCode.FencedInstanceId or ErrorCode.RebalanceInProgress)
        {
            // The commit may have been of an older generation. A heartbeat tells how things stand with this one.
            lock (_gate)
            {
                _heartbeatNow.TrySetResult();
            }
        }
    }

    public async Task LeaveAsync(string reason, CancellationToken cancellationToken = default)
    {
        Task? loop;
        lock (_gate)
        {
            if (!_leaving)
            {
                _leaving = true;
                _leaveReason = reason;
                Wake();
            }

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

    private static void Check(bool condition, string message)
    {
        if (!condition)
        {
            throw new ArgumentException(message);
        }
    }

    /// <summary>Lets the loop look at what has changed. Under <see cref="_gate"/>.</summary>
    private void Wake()
    {
        _wake.TrySetResult();
    }

    private async Task RunAsync()
    {
        Exception? failure = null;
        try
        {
            await MaintainAsync(_stop.Token);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Leaving.
        }
        catch (Exception exception)
        {
            failure = exception;
            LogEnded(exception, _options.GroupId);
        }

        try
        {
            await EndAsync(failure);
        }
        catch (Exception exception)
        {
            failure ??= exception;
        }

        if (failure is null)
        {
            _completion.TrySetResult();
        }
        else
        {
            _completion.TrySetException(failure);
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
            await LeaveGroupAsync(failure is null ? _leaveReason : "the consumer failed");
        }
    }

    private async Task MaintainAsync(CancellationToken stop)
    {
        while (true)
        {
            await WaitForReasonAsync(stop);
            if (_lostBy == ErrorCode.FencedInstanceId)
            {
                throw new ArusException(
                    ErrorCode.FencedInstanceId,
                        $"Another member of group '{_options.GroupId}' has taken group.instance.id '{_options.GroupInstanceId}'.");
            }

            if (_pollExpired)
            {
                await GiveUpPlaceAsync();
                continue;
            }

            await PrepareToJoinAsync();
            await StopHeartbeatsAsync();
            ForgetIfLost();
            if (await JoinAsync(stop) is { } assigned)
            {
                _heartbeats = Task.Run(() => HeartbeatAsync(_identity, _heartbeatStop.Token), CancellationToken.None);
                await ApplyAsync(assigned);
            }
        }
    }

    /// <summary>Waits until there is something to do: to join again, or to give up because the application does not poll.</summary>
    private async Task WaitForReasonAsync(CancellationToken stop)
    {
        while (true)
        {
            Task wake;
            lock (_gate)
            {
                bool outside = _heartbeats is null;
                if (!outside && (_pollExpired || _lostBy != ErrorCode.None || _rejoinReason is not null))
                {
                    return;
                }

                // Outside of the group there is no place to give up; it is joined as soon as the application lives.
                if (outside && !_pollExpired)
                {
                    return;
                }

                if (_wake.Task.IsCompleted)
                {
                    _wake = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                }

                wake = _wake.Task;
            }

            await wake.WaitAsync(stop);
        }
    }
}
