using Arus.Coordination;
using Arus.Grains;
using Arus.Protocol;

namespace Arus.Testing;

/// <summary>
/// A group's coordinator in this process: the real state machine, that remembers like a durable one and can be told to fail, to restart,
/// or to forget. Thread-safe.
/// </summary>
public sealed class InMemoryGroup : IGroupGrain, IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<long, TaskCompletionSource<IApiMessage>> _calls = [];
    private readonly Dictionary<TopicPartition, StoredOffset> _offsets = [];
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

    /// <summary>The ids of the members that asked to leave.</summary>
    public string[] Leavers { get; private set; } = [];

    public GroupState State => Ask(group => group.State);

    public int Generation => Ask(group => group.Generation);

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();

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

    public Task<JoinGroupResponse> JoinAsync(JoinGroupRequest request, Caller caller) => AskAsync<JoinGroupResponse>(request, caller);

    public Task<SyncGroupResponse> SyncAsync(SyncGroupRequest request) => AskAsync<SyncGroupResponse>(request);

    public Task<HeartbeatResponse> HeartbeatAsync(HeartbeatRequest request) => AskAsync<HeartbeatResponse>(request);

    public Task<LeaveGroupResponse> LeaveAsync(LeaveGroupRequest request)
    {
        Leavers = [.. Leavers, .. request.Members.Select(member => member.MemberId)];
        return AskAsync<LeaveGroupResponse>(request);
    }

    public Task<OffsetCommitResponse> CommitOffsetsAsync(OffsetCommitRequest request, long retentionMs)
    {
        request.RetentionTimeMs = retentionMs;
        return AskAsync<OffsetCommitResponse>(request);
    }

    public Task<OffsetFetchResponse> FetchOffsetsAsync(OffsetFetchRequest request) => AskAsync<OffsetFetchResponse>(request);

    public Task<OffsetDeleteResponse> DeleteOffsetsAsync(OffsetDeleteRequest request) => AskAsync<OffsetDeleteResponse>(request);

    public Task<DescribeGroupsResponse> DescribeAsync(DescribeGroupsRequest request) => AskAsync<DescribeGroupsResponse>(request);

    public Task<DeleteGroupsResponse> DeleteAsync(DeleteGroupsRequest request) => AskAsync<DeleteGroupsResponse>(request);

    public Task<GroupCoordinator> LocateAsync() => Task.FromResult(new GroupCoordinator(1, Generation));

    public void Dispose() => _timer.Dispose();

    private ConsumerGroup Load() => new(
        new GroupOptions(BrokerConfig.Default) { InitialRebalanceDelayMs = 0, MinSessionTimeoutMs = 1 }, () => $"{++_ids}",
        IGroupGrain.MaxWaitMs, _metadata, _offsets, NowMs);

    private async Task<TResponse> AskAsync<TResponse>(IApiMessage request, Caller caller = default)
        where TResponse : IApiMessage
    {
        BeforeCall(request);
        var source = new TaskCompletionSource<IApiMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
        Do(group =>
        {
            _calls.Add(++_lastCall, source);
            group.Receive(_lastCall, request, caller, NowMs);
        });
        return (TResponse)await source.Task;
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
        foreach ((TopicPartition partition, StoredOffset? offset) in records.Offsets)
        {
            if (offset is { } value)
                _offsets[partition] = value;
            else
                _offsets.Remove(partition);
        }
    }
}
