using Arus.Coordination;
using Arus.Grains;
using Arus.Protocol;

namespace Arus.Testing;

/// <summary>
/// A group's coordinator in this process: the real state machine over a store in memory. It counts its calls, and fails, restarts or
/// forgets when a test wants it to. Thread-safe.
/// </summary>
public sealed class InMemoryGroup : IGroupGrain, IDisposable
{
    private static readonly Guid AnyTopic = Guid.Parse("00000000-0000-0000-0000-0000000000aa");

    private readonly Lock _gate = new();
    private readonly Conditions _conditions = new();
    private readonly Dictionary<long, TaskCompletionSource<IApiMessage>> _calls = [];
    private readonly Dictionary<TopicPartition, StoredPartition> _offsets = [];
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private GroupMetadata? _metadata;
    private ConsumerGroup _group;
    private long _lastCall;
    private int _ids;

    public InMemoryGroup(TimeProvider? time = null)
    {
        _time = time ?? TimeProvider.System;
        _group = Load();
        _timer = _time.CreateTimer(_ => Do(group => group.Advance(NowMs)), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Called with each request before the coordinator gets it; may throw.</summary>
    public Action<IApiMessage> BeforeCall { get; set; } = _ => { };

    /// <summary>What every call fails with; null for none.</summary>
    public Exception? Failure { get; set; }

    /// <summary>The callers get no reply before it ends, as if the replies were on their way.</summary>
    public Task Delivery { get; set; } = Task.CompletedTask;

    /// <summary>The broker on which the coordinator says that it runs.</summary>
    public int BrokerId { get; set; } = 1;

    /// <summary>What the coordinator of every transaction answers when the group asks whether it is a participant.</summary>
    public GroupParticipation Participation { get; set; } = new(ErrorCode.None, CoordinatorEpoch: 1);

    /// <summary>The transaction of each commit in one.</summary>
    public CommittingTransaction[] TransactionalCommits { get; private set; } = [];

    /// <summary>The member id and the caller of each join.</summary>
    public (string MemberId, Caller Caller)[] Joins { get; private set; } = [];

    /// <summary>The ids of the members that asked to leave.</summary>
    public string[] Leavers { get; private set; } = [];

    /// <summary>Calls that have no reply yet.</summary>
    public int WaitingCalls => Ask(_ => _calls.Count);

    public GroupState State => Ask(group => group.State);

    public int Generation => Ask(group => group.Generation);

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Completes when the condition holds; it is tried after each step of the coordinator.</summary>
    /// <exception cref="TimeoutException">It did not within <see cref="TestTimeout.Value"/>.</exception>
    public Task WhenAsync(Func<InMemoryGroup, bool> condition)
    {
        lock (_gate)
            return _conditions.WhenAsync(() => condition(this));
    }

    /// <summary>The offset that is durable; -1 where there is none.</summary>
    public long CommittedOffset(TopicPartition partition) =>
        Ask(_ => _offsets.GetValueOrDefault(partition).Committed?.Offset ?? -1);

    /// <summary>Commits as a tool or a consumer outside the group does.</summary>
    public Task CommitAsync(TopicPartition partition, long offset) => CommitOffsetsAsync(
        new OffsetCommitRequest
        {
            Topics =
            [
                new() { Name = partition.Topic, Partitions = [new() { PartitionIndex = partition.Partition, CommittedOffset = offset }] },
            ],
        },
        retentionMs: -1, topicIds: []);

    /// <summary>Joins as a consumer whose subscription nobody can read.</summary>
    /// <param name="memberId">Of a member that joins again; empty for a new one.</param>
    public Task<JoinGroupResponse> JoinAsync(string clientId, string memberId = "") => JoinAsync(
        new JoinGroupRequest
        {
            MemberId = memberId, ProtocolType = "consumer", SessionTimeoutMs = 10_000, RebalanceTimeoutMs = 60_000,
            Protocols = [new() { Name = "range" }],
        },
        new Caller(clientId, "/127.0.0.1", ApiVersion: 3));

    /// <summary>Joins, alone or as the last that a rebalance waits for, and syncs as the leader: the group is stable then.</summary>
    /// <inheritdoc cref="JoinAsync(string, string)"/>
    public async Task<JoinGroupResponse> JoinAndSyncAsync(string clientId, string memberId = "")
    {
        JoinGroupResponse joined = await JoinAsync(clientId, memberId);
        await SyncAsync(new SyncGroupRequest { MemberId = joined.MemberId, GenerationId = joined.GenerationId });
        return joined;
    }

    /// <summary>Begins anew with what was durable, or with nothing; calls that wait fail as those of a coordinator that moved.</summary>
    public void Restart(bool forget = false)
    {
        lock (_gate)
        {
            if (forget)
            {
                _metadata = null;
                _offsets.Clear();
            }

            _group = Load();
            foreach (TaskCompletionSource<IApiMessage> call in _calls.Values)
                call.SetException(new ArusException(ErrorCode.NotCoordinator, "restarted"));

            _calls.Clear();
        }
    }

    public Task<JoinGroupResponse> JoinAsync(JoinGroupRequest request, Caller caller)
    {
        lock (_gate)
            Joins = [.. Joins, (request.MemberId, caller)];

        return AskAsync<JoinGroupResponse>(request, caller);
    }

    public Task<SyncGroupResponse> SyncAsync(SyncGroupRequest request) => AskAsync<SyncGroupResponse>(request);

    public Task<HeartbeatResponse> HeartbeatAsync(HeartbeatRequest request) => AskAsync<HeartbeatResponse>(request);

    public Task<LeaveGroupResponse> LeaveAsync(LeaveGroupRequest request)
    {
        lock (_gate)
            Leavers = [.. Leavers, .. request.Members.Select(member => member.MemberId)];

        return AskAsync<LeaveGroupResponse>(request);
    }

    public Task<OffsetCommitResponse> CommitOffsetsAsync(OffsetCommitRequest request, long retentionMs, Guid[] topicIds)
    {
        SetTopics(request, topicIds);
        request.RetentionTimeMs = retentionMs;
        return AskAsync<OffsetCommitResponse>(request);
    }

    public Task<OffsetCommitResponse> TxnCommitOffsetsAsync(
        OffsetCommitRequest request, CommittingTransaction transaction, Guid[] topicIds)
    {
        SetTopics(request, topicIds);
        TransactionalCommits = [.. TransactionalCommits, transaction];
        if (Participation.ErrorCode != ErrorCode.None)
            return Task.FromResult(ConsumerGroup.RefuseCommit(request, Participation.ErrorCode));

        var open = new OffsetTransaction(transaction.ProducerId, transaction.ProducerEpoch, Participation.CoordinatorEpoch);
        return AskAsync<OffsetCommitResponse>(
            request, (group, call) => group.CommitOffsets(call, request, open, group.Guard(transaction.ProducerId), NowMs));
    }

    public async Task<ErrorCode> WriteMarkerAsync(TransactionMarker marker)
    {
        var ended = new OffsetTransaction(marker.ProducerId, marker.ProducerEpoch, marker.CoordinatorEpoch);
        OffsetCommitResponse response = await AskAsync<OffsetCommitResponse>(
            null, (group, call) => group.EndTransaction(call, ended, marker.IsCommit, marker.TransactionVersion >= 2));
        return response.Topics.Length == 0 ? ErrorCode.None : response.Topics[0].Partitions[0].ErrorCode;
    }

    public Task<OffsetFetchResponse> FetchOffsetsAsync(OffsetFetchRequest request) => AskAsync<OffsetFetchResponse>(request);

    public Task<OffsetDeleteResponse> DeleteOffsetsAsync(OffsetDeleteRequest request) => AskAsync<OffsetDeleteResponse>(request);

    public Task<DescribeGroupsResponse> DescribeAsync(DescribeGroupsRequest request) => AskAsync<DescribeGroupsResponse>(request);

    public Task<DeleteGroupsResponse> DeleteAsync(DeleteGroupsRequest request) => AskAsync<DeleteGroupsResponse>(request);

    public Task<GroupCoordinator> LocateAsync() => Failure is null
        ? Task.FromResult(new GroupCoordinator(BrokerId, Generation))
        : Task.FromException<GroupCoordinator>(Failure);

    public void Dispose() => _timer.Dispose();

    private ConsumerGroup Load() => new(
        new GroupOptions(BrokerConfig.Default) { InitialRebalanceDelayMs = 0, MinSessionTimeoutMs = 1 }, () => $"{++_ids}",
        IGroupGrain.MaxWaitMs, _metadata, _offsets, NowMs);

    private static void SetTopics(OffsetCommitRequest request, Guid[] topicIds)
    {
        for (int i = 0; i < request.Topics.Length; i++)
            request.Topics[i].TopicId = i < topicIds.Length ? topicIds[i] : AnyTopic;
    }

    private Task<TResponse> AskAsync<TResponse>(IApiMessage request, Caller caller = default)
        where TResponse : IApiMessage =>
        AskAsync<TResponse>(request, (group, call) => group.Receive(call, request, caller, NowMs));

    private async Task<TResponse> AskAsync<TResponse>(IApiMessage? request, Action<ConsumerGroup, long> input)
        where TResponse : IApiMessage
    {
        if (request is not null)
            BeforeCall(request);

        if (Failure is not null)
            throw Failure;

        var source = new TaskCompletionSource<IApiMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
        Do(group =>
        {
            _calls.Add(++_lastCall, source);
            input(group, _lastCall);
        });
        var response = (TResponse)await source.Task;
        await Delivery;
        return response;
    }

    private T Ask<T>(Func<ConsumerGroup, T> question)
    {
        lock (_gate)
            return question(_group);
    }

    private void Do(Action<ConsumerGroup> input)
    {
        lock (_gate)
        {
            input(_group);
            Effects<GroupRecords> effects;
            do
            {
                effects = _group.TakeEffects(canWrite: true);
                foreach ((long call, IApiMessage message) in effects.Replies)
                {
                    _calls.Remove(call, out TaskCompletionSource<IApiMessage>? source);
                    source!.SetResult(message);
                }

                if (effects.Records is not null)
                {
                    Store(effects.Records);
                    _group.Written();
                }
            }
            while (effects.Records is not null);

            _timer.Change(TimeSpan.FromMilliseconds(Math.Clamp(effects.Deadline - NowMs, 0, 3_600_000)), Timeout.InfiniteTimeSpan);
            _conditions.Check();
        }
    }

    private void Store(GroupRecords records)
    {
        if (records.Clear)
        {
            _metadata = null;
            _offsets.Clear();
        }

        _metadata = records.Metadata ?? _metadata;
        foreach ((TopicPartition partition, StoredPartition? offset) in records.Offsets)
        {
            if (offset is { } value)
                _offsets[partition] = value;
            else
                _offsets.Remove(partition);
        }
    }
}
