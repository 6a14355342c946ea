using Arus.Grains;
using Arus.Protocol;
using Microsoft.Extensions.Logging;
using Assignment = Arus.Protocol.SyncGroupRequest.SyncGroupRequestAssignment;

namespace Arus.Client;

internal sealed partial class GroupMembership
{
    private readonly IReadOnlyList<IPartitionAssignor> _assignors = options.PartitionAssignmentStrategy ?? PartitionAssignors.Default;

    // The input of the sticky assignor. Unlike _owned it outlives the revocation before a join.
    private IReadOnlyList<TopicPartition> _lastOwned = [];
    private int _lastGeneration = -1;

    /// <summary>Gives up what must not be read during the rebalance: everything, or what is no longer subscribed to.</summary>
    private async Task PrepareToJoinAsync()
    {
        if (_lostBy is not (ErrorCode.UnknownMemberId or ErrorCode.IllegalGeneration))
        {
            string[] topics = _topics;
            bool cooperative = _assignors.All(assignor => assignor.Protocol == RebalanceProtocol.Cooperative);
            await RevokeAsync(cooperative ? [.. _owned.Where(partition => !topics.Contains(partition.Topic))] : _owned);
        }

        if (_lostBy != ErrorCode.None)
            await LoseOwnedAsync();
    }

    private void ForgetIfLost()
    {
        lock (_gate)
        {
            if (_lostBy != ErrorCode.None)
            {
                logger.LogWarning("Group {Group}: member {Member} has lost its place ({Error})", _groupId, _identity.MemberId, _lostBy);
                Forget(_lostBy);
                _lostBy = ErrorCode.None;
            }
        }
    }

    private void Forget(ErrorCode error) =>
        _identity = new MemberIdentity(error == ErrorCode.UnknownMemberId ? "" : _identity.MemberId, options.GroupInstanceId, -1);

    /// <summary>Joins and syncs until both succeed in one generation.</summary>
    /// <returns>The assignment.</returns>
    /// <exception cref="ArusException">No join can succeed.</exception>
    private async Task<IReadOnlyList<TopicPartition>> JoinAsync(CancellationToken stop)
    {
        while (true)
        {
            JoinGroupResponse joined = await CallJoinAsync(stop);
            ErrorCode error = joined.ErrorCode;
            if (error == ErrorCode.None)
            {
                _identity = new MemberIdentity(joined.MemberId, options.GroupInstanceId, joined.GenerationId);
                SyncGroupResponse synced = await CallSyncAsync(joined, stop);
                if (synced.ErrorCode == ErrorCode.None)
                    return ConsumerProtocol.DecodeAssignment(synced.Assignment);

                error = synced.ErrorCode;
            }

            if (error is ErrorCode.UnknownMemberId or ErrorCode.IllegalGeneration)
            {
                await LoseOwnedAsync();
                Forget(error);
            }
            else if (error != ErrorCode.RebalanceInProgress)
            {
                throw new ArusException(error, $"The coordinator of group '{_groupId}' refuses this member: {error}.");
            }

            await Task.Delay(options.RetryBackoff, time, stop);
        }
    }

    private async Task<JoinGroupResponse> CallJoinAsync(CancellationToken stop)
    {
        string reason;
        lock (_gate)
        {
            reason = _rejoinReason ?? "it is not in the group";
            _rejoinReason = null;
        }

        logger.LogInformation("Group {Group}: member {Member} joins because {Reason}", _groupId, _identity.MemberId, reason);
        var caller = new Caller(options.ClientId, $"/{Environment.MachineName}", JoinGroupRequest.Descriptor.MaxVersion);
        while (true)
        {
            JoinGroupResponse joined = await CallAsync(
                "join", end => group.JoinAsync(CreateJoinRequest(reason), caller, end), answer => answer.ErrorCode, stop);
            if (joined.ErrorCode != ErrorCode.MemberIdRequired)
                return joined;

            // The id counts from here on: a member that leaves now must leave with it.
            _identity = _identity with { MemberId = joined.MemberId };
        }
    }

    private JoinGroupRequest CreateJoinRequest(string reason) => new()
    {
        GroupId = _groupId,
        MemberId = _identity.MemberId,
        GroupInstanceId = options.GroupInstanceId,
        SessionTimeoutMs = (int)options.SessionTimeout.TotalMilliseconds,
        RebalanceTimeoutMs = (int)options.MaxPollInterval.TotalMilliseconds,
        ProtocolType = ConsumerProtocol.Type,
        Protocols = [.. _assignors.Select(Describe)],
        Reason = reason,
    };

    private JoinGroupRequest.JoinGroupRequestProtocol Describe(IPartitionAssignor assignor)
    {
        string[] topics = _topics;
        IReadOnlyList<TopicPartition> owned = _owned;
        var subscription = new ConsumerSubscription(
            topics, assignor.GetUserData(topics, _lastOwned, _lastGeneration), owned, owned.Count > 0 ? _lastGeneration : -1);
        return new() { Name = assignor.Name, Metadata = ConsumerProtocol.EncodeSubscription(subscription) };
    }

    private async Task<SyncGroupResponse> CallSyncAsync(JoinGroupResponse joined, CancellationToken stop)
    {
        var request = new SyncGroupRequest
        {
            GroupId = _groupId,
            MemberId = joined.MemberId,
            GroupInstanceId = options.GroupInstanceId,
            GenerationId = joined.GenerationId,
            ProtocolType = joined.ProtocolType,
            ProtocolName = joined.ProtocolName,
            Assignments = joined.Leader == joined.MemberId && !joined.SkipAssignment ? await AssignAsync(joined, stop) : [],
        };
        return await CallAsync("sync", end => group.SyncAsync(request, end), answer => answer.ErrorCode, stop);
    }

    private async Task<Assignment[]> AssignAsync(JoinGroupResponse joined, CancellationToken stop)
    {
        IPartitionAssignor assignor = _assignors.FirstOrDefault(assignor => assignor.Name == joined.ProtocolName)
            ?? throw new ArusException(
                ErrorCode.InconsistentGroupProtocol,
                $"Group '{_groupId}' chose the assignor '{joined.ProtocolName}', which this member does not have.");
        MemberSubscription[] members =
        [
            .. joined.Members.Select(member =>
                new MemberSubscription(member.MemberId, member.GroupInstanceId, ConsumerProtocol.DecodeSubscription(member.Metadata))),
        ];
        string[] topics = [.. members.SelectMany(member => member.Subscription.Topics).Distinct(StringComparer.Ordinal)];
        IReadOnlyDictionary<string, int> counts = await CallAsync(
            "counting partitions", end => countPartitions(topics, end).AsTask(), _ => ErrorCode.None, stop);
        return [.. assignor.Assign(counts, members).Select(
            entry => new Assignment { MemberId = entry.Key, Assignment = ConsumerProtocol.EncodeAssignment(entry.Value) })];
    }

    /// <summary>Calls until the answer is not a retriable error; there is no limit but <paramref name="stop"/>.</summary>
    private async Task<T> CallAsync<T>(
        string name, Func<CancellationToken, Task<T>> call, Func<T, ErrorCode> errorOf, CancellationToken stop)
    {
        var backoff = new ExponentialBackoff(options.RetryBackoff, options.RetryBackoffMax);
        for (int attempt = 1; ; attempt++)
        {
            string message;
            try
            {
                T answer = await losses.CallAsync(call, Timeout.InfiniteTimeSpan, stop);
                if (!errorOf(answer).IsRetriable())
                    return answer;

                message = errorOf(answer).ToString();
            }
            catch (Exception failure) when (GrainRetry.IsTransient(failure))
            {
                message = failure.Message;
            }

            LogRetrying(name, message);
            await Task.Delay(backoff.Of(attempt), time, stop);
        }
    }

    /// <summary>Takes over an assignment, and tells the handler what it changes.</summary>
    private async Task ApplyAsync(IReadOnlyList<TopicPartition> assigned)
    {
        HashSet<TopicPartition> before = [.. _owned];
        TopicPartition[] revoked = [.. before.Except(assigned)];
        if (revoked.Length > 0)
        {
            // Other members get these partitions in the next rebalance, now that this one has given them up.
            await RevokeAsync(revoked);
            RequestRejoin("it has revoked partitions that others wait for");
        }

        _owned = _lastOwned = [.. assigned];
        _lastGeneration = _identity.GenerationId;
        logger.LogInformation(
            "Group {Group}: member {Member} is in generation {Generation} with {Count} partitions", _groupId, _identity.MemberId,
            _lastGeneration, assigned.Count);
        using CancellationTokenSource limit = HandlerLimit();
        await handler.OnPartitionsAssignedAsync([.. assigned.Where(partition => !before.Contains(partition))], limit.Token);
    }

    private async Task RevokeAsync(IReadOnlyList<TopicPartition> revoked)
    {
        if (revoked.Count == 0)
            return;

        using CancellationTokenSource limit = HandlerLimit();
        try
        {
            await handler.OnPartitionsRevokedAsync(revoked, limit.Token);
        }
        finally
        {
            _owned = [.. _owned.Except(revoked)];
        }
    }

    private async Task LoseOwnedAsync()
    {
        IReadOnlyList<TopicPartition> lost = _owned;
        _owned = [];
        if (lost.Count > 0)
        {
            using CancellationTokenSource limit = HandlerLimit();
            await handler.OnPartitionsLostAsync(lost, limit.Token);
        }
    }

    private CancellationTokenSource HandlerLimit() => new(options.MaxPollInterval, time);

    /// <summary>Leaves because the application does not poll. A static member stays in the group until its session times out.</summary>
    private async Task LeaveUntilPolledAsync()
    {
        logger.LogWarning(
            "Group {Group}: no poll within max.poll.interval.ms ({Interval}); the member leaves until the next", _groupId,
            options.MaxPollInterval);
        await StopHeartbeatsAsync();
        await LeaveGroupAsync("max.poll.interval.ms is over without a poll");
        Forget(options.GroupInstanceId is null ? ErrorCode.UnknownMemberId : ErrorCode.IllegalGeneration);
        await LoseOwnedAsync();
    }

    private async Task LeaveGroupAsync(string reason)
    {
        MemberIdentity self = _identity;
        if (self.MemberId.Length == 0 || self.GroupInstanceId is not null)
            return;

        _identity = self with { MemberId = "", GenerationId = -1 };
        try
        {
            var request = new LeaveGroupRequest { GroupId = _groupId, Members = [new() { MemberId = self.MemberId, Reason = reason }] };
            await group.LeaveAsync(request).WaitAsync(LeaveTimeout, time);
        }
        catch (Exception failure) when (GrainRetry.IsTransient(failure))
        {
            logger.LogWarning("Group {Group}: leaving failed, so the session has to time out: {Message}", _groupId, failure.Message);
        }
    }

    private void LogRetrying(string call, string message) =>
        logger.LogWarning("Group {Group}: {Call} failed and is retried: {Message}", _groupId, call, message);
}
