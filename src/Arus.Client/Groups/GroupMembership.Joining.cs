using Arus.Grains;
using Arus.Protocol;
using Assignment = Arus.Protocol.SyncGroupRequest.SyncGroupRequestAssignment;

namespace Arus.Client;

public sealed partial class GroupMembership
{
    // What the sticky assignor is told of; unlike _owned it outlives the revocation before a join.
    private IReadOnlyList<TopicPartition> _lastOwned = [];
    private int _lastGeneration = -1;

    /// <summary>Gives up what must not be read during the rebalance: everything, or what is no longer subscribed to.</summary>
    private async Task PrepareToJoinAsync()
    {
        if (_lostBy is ErrorCode.UnknownMemberId or ErrorCode.IllegalGeneration)
        {
            await LoseOwnedAsync();
            return;
        }

        string[] topics = _topics;
        await RevokeAsync(_cooperative ? [.. _owned.Where(partition => !topics.Contains(partition.Topic))] : _owned);
        if (_lostBy != ErrorCode.None)
        {
            await LoseOwnedAsync();
        }
    }

    private void ForgetIfLost()
    {
        lock (_gate)
        {
            if (_lostBy == ErrorCode.None)
            {
                return;
            }

            LogLost(_options.GroupId, _identity.MemberId, _lostBy);
            Forget(_lostBy);
            _lostBy = ErrorCode.None;
        }
    }

    private void Forget(ErrorCode error) =>
        _identity = new MemberIdentity(error == ErrorCode.UnknownMemberId ? "" : _identity.MemberId, _options.GroupInstanceId, -1);

    /// <summary>Joins and syncs, as often as it takes.</summary>
    /// <returns>What was assigned.</returns>
    private async Task<IReadOnlyList<TopicPartition>?> JoinAsync(CancellationToken stop)
    {
        var backoff = new Backoff(this);
        while (true)
        {
            string reason;
            lock (_gate)
            {
                reason = _rejoinReason ?? "it is not in the group";
                _rejoinReason = null;
            }

            LogJoining(_options.GroupId, _identity.MemberId, reason);
            JoinGroupResponse joined = await JoinCallAsync(reason, backoff, stop);
            if (joined.ErrorCode == ErrorCode.None)
            {
                _identity = new MemberIdentity(joined.MemberId, _options.GroupInstanceId, joined.GenerationId);
                SyncGroupResponse synced = await SyncCallAsync(joined, backoff, stop);
                if (synced.ErrorCode == ErrorCode.None)
                {
                    return ConsumerProtocol.DecodeAssignment(synced.Assignment);
                }

                await RecoverAsync(synced.ErrorCode, backoff, stop);
            }
            else
            {
                await RecoverAsync(joined.ErrorCode, backoff, stop);
            }
        }
    }

    /// <summary>Makes the next join possible after one that failed.</summary>
    /// <exception cref="ArusException">No join can succeed.</exception>
    private async Task RecoverAsync(ErrorCode error, Backoff backoff, CancellationToken stop)
    {
        switch (error)
        {
            case ErrorCode.UnknownMemberId or ErrorCode.IllegalGeneration:
                await LoseOwnedAsync();
                Forget(error);
                break;
            case ErrorCode.RebalanceInProgress:
                break;
            default:
                throw new ArusException(error, $"The coordinator of group '{_options.GroupId}' refuses this member: {error}.");
        }

        await backoff.WaitAsync(stop);
    }

    private async Task<JoinGroupResponse> JoinCallAsync(string reason, Backoff backoff, CancellationToken stop)
    {
        var caller = new Caller(_options.ClientId, $"/{Environment.MachineName}", JoinGroupRequest.Descriptor.MaxVersion);
        string memberId = _identity.MemberId;
        while (true)
        {
            var request = new JoinGroupRequest
            {
                GroupId = _options.GroupId,
                MemberId = memberId,
                GroupInstanceId = _options.GroupInstanceId,
                SessionTimeoutMs = _options.SessionTimeoutMs,
                RebalanceTimeoutMs = _options.RebalanceTimeoutMs,
                ProtocolType = ConsumerProtocol.Type,
                Protocols = [.. _assignors.Select(Describe)],
                Reason = reason,
            };
            JoinGroupResponse? response = await TryCallAsync(
                "join", () => _group.JoinAsync(request, caller, stop), answer => answer.ErrorCode, backoff, stop);
            memberId = request.MemberId;
            if (response is { ErrorCode: ErrorCode.MemberIdRequired })
            {
                // The id counts from here on: a member that leaves now must leave with it.
                memberId = response.MemberId;
                _identity = _identity with { MemberId = memberId };
            }
            else if (response is not null)
            {
                return response;
            }
        }
    }

    private JoinGroupRequest.JoinGroupRequestProtocol Describe(IPartitionAssignor assignor)
    {
        string[] topics = _topics;
        IReadOnlyList<TopicPartition> owned = _owned;
        var subscription = new ConsumerSubscription(
            topics, assignor.GetUserData(topics, _lastOwned, _lastGeneration), owned, owned.Count > 0 ? _lastGeneration : -1,
            _options.RackId);
        return new() { Name = assignor.Name, Metadata = ConsumerProtocol.EncodeSubscription(subscription) };
    }

    private async Task<SyncGroupResponse> SyncCallAsync(JoinGroupResponse joined, Backoff backoff, CancellationToken stop)
    {
        MemberIdentity self = _identity;
        var request = new SyncGroupRequest
        {
            GroupId = _options.GroupId,
            MemberId = self.MemberId,
            GroupInstanceId = self.GroupInstanceId,
            GenerationId = self.GenerationId,
            ProtocolType = joined.ProtocolType,
            ProtocolName = joined.ProtocolName,
            Assignments = joined.Leader == joined.MemberId && !joined.SkipAssignment ? await AssignAsync(joined, backoff, stop) : [],
        };
        while (true)
        {
            SyncGroupResponse? response = await TryCallAsync(
                "sync", () => _group.SyncAsync(request, stop), answer => answer.ErrorCode, backoff, stop);
            if (response is not null)
            {
                return response;
            }
        }
    }

    private async Task<Assignment[]> AssignAsync(JoinGroupResponse joined, Backoff backoff, CancellationToken stop)
    {
        IPartitionAssignor assignor = _assignors.FirstOrDefault(assignor => assignor.Name == joined.ProtocolName)
            ?? throw new ArusException(
                ErrorCode.InconsistentGroupProtocol,
                $"Group '{_options.GroupId}' chose the assignor '{joined.ProtocolName}', which this member does not have.");
        MemberSubscription[] members =
        [
            .. joined.Members.Select(member =>
                new MemberSubscription(member.MemberId, member.GroupInstanceId, ConsumerProtocol.DecodeSubscription(member.Metadata))),
        ];
        string[] topics = [.. members.SelectMany(member => member.Subscription.Topics).Distinct(StringComparer.Ordinal)];
        IReadOnlyDictionary<string, int>? counts = null;
        while (counts is null)
        {
            counts = await TryCallAsync(
                "asking for partitions", () => _partitions.GetPartitionCountsAsync(topics, stop).AsTask(), _ => ErrorCode.None, backoff,
                stop);
        }

        return [.. assignor.Assign(counts, members).Select(
            entry => new Assignment { MemberId = entry.Key, Assignment = ConsumerProtocol.EncodeAssignment(entry.Value) })];
    }

    /// <summary>Makes one call; null, after a pause, if it failed in a way that repetition may cure.</summary>
    private async Task<T?> TryCallAsync<T>(
        string name, Func<Task<T>> call, Func<T, ErrorCode> errorOf, Backoff backoff, CancellationToken stop)
        where T : class
    {
        string message;
        try
        {
            T result = await call().WaitAsync(stop);
            ErrorCode error = errorOf(result);
            if (!error.IsRetriable())
            {
                backoff.Reset();
                return result;
            }

            message = error.ToString();
        }
        catch (Exception failure) when (GrainRetry.IsTransient(failure))
        {
            message = failure.Message;
        }

        LogRepeating(_options.GroupId, name, message);
        await backoff.WaitAsync(stop);
        return null;
    }

    private sealed class Backoff(GroupMembership owner)
    {
        private int _nextMs = owner._options.RetryBackoffMs;

        public void Reset() => _nextMs = owner._options.RetryBackoffMs;

        public async Task WaitAsync(CancellationToken stop)
        {
            int pause = _nextMs;
            _nextMs = Math.Min(Math.Max(_nextMs * 2, 1), owner._options.RetryBackoffMaxMs);
            await Task.Delay(TimeSpan.FromMilliseconds(pause), owner._time, stop);
        }
    }
}
