using Arus.Coordination;
using Arus.Grains;

namespace Arus.Client.Tests.Groups;

/// <summary>A coordinator in this process, that remembers like a durable one and can be told to fail, to restart, or to forget.</summary>
internal sealed class InMemoryGroup : IGroupGrain, IMemberIdSource, IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<long, TaskCompletionSource<GroupReply>> _calls = [];
    private readonly Dictionary<TopicPartition, StoredOffset> _offsets = [];
    private readonly ITimer _timer;
    private GroupSnapshot? _snapshot;
    private ConsumerGroup _group;
    private long _tokens;
    private int _ids;

    public InMemoryGroup()
    {
        _group = Load();
        _timer = TimeProvider.System.CreateTimer(_ => Do(group => group.Advance(Now)), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Called with a call's name before it is made; may throw.</summary>
    public Action<string> BeforeCall { get; set; } = _ => { };

    public string[] Leavers { get; private set; } = [];

    private static long Now => TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();

    public void Restart(bool forget = false)
    {
        lock (_gate)
        {
            _snapshot = forget ? null : _snapshot;
            _group = Load();
            foreach (TaskCompletionSource<GroupReply> call in _calls.Values)
            {
                call.SetException(new ArusException(ErrorCode.NotCoordinator, "restarted"));
            }

            _calls.Clear();
        }
    }

    public GroupSummary Describe()
    {
        lock (_gate)
        {
            return _group.Describe();
        }
    }

    public async Task<JoinGroupResult> JoinAsync(JoinGroupCommand command)
    {
        BeforeCall("join");
        var request = new JoinRequest(
            command.MemberId, command.GroupInstanceId, command.RequireKnownMemberId, command.ClientId, command.ClientHost, command.SessionTimeoutMs,
            command.RebalanceTimeoutMs, command.ProtocolType, [.. command.Protocols.Select(p => new ProtocolChoice(p.Name, p.Metadata))],
            command.SupportsSkippingAssignment);
        var reply = (JoinReply)await AskAsync((group, token) => group.Join(token, request, Now));
        return new JoinGroupResult(
            reply.Error, reply.Pending, reply.MemberId, reply.Generation, reply.ProtocolType, reply.ProtocolName, reply.LeaderId, reply.SkipAssignment,
            [.. reply.Members.Select(m => new JoinedMember(m.MemberId, m.InstanceId, m.Metadata))]);
    }

    public async Task<SyncGroupResult> SyncAsync(SyncGroupCommand command)
    {
        BeforeCall("sync");
        var request = new SyncRequest(
            Ref(command.Member), command.ProtocolType, command.ProtocolName,
            [.. command.Assignments.Select(a => new KeyValuePair<string, ReadOnlyMemory<byte>>(a.MemberId, a.Assignment))]);
        var reply = (SyncReply)await AskAsync((group, token) => group.Sync(token, request, Now));
        return new SyncGroupResult(reply.Error, reply.Pending, reply.ProtocolType, reply.ProtocolName, reply.Assignment);
    }

    public Task<ErrorCode> HeartbeatAsync(MemberIdentity member)
    {
        BeforeCall("heartbeat");
        ErrorCode error = default;
        Do(group => error = group.Heartbeat(Ref(member), Now));
        return Task.FromResult(error);
    }

    public Task<ErrorCode[]> LeaveAsync(MemberIdentity[] members, string? reason)
    {
        BeforeCall("leave");
        ErrorCode[] errors = [];
        Do(group =>
        {
            Leavers = [.. Leavers, .. members.Select(member => member.MemberId)];
            errors = group.Leave([.. members.Select(Ref)], Now);
        });
        return Task.FromResult(errors);
    }

    public Task<ErrorCode[]> CommitOffsetsAsync(CommitOffsetsCommand command) => throw new NotSupportedException();

    public Task<CommittedOffset[]> FetchOffsetsAsync(TopicPartition[]? partitions) => throw new NotSupportedException();

    public Task<ErrorCode[]> DeleteOffsetsAsync(TopicPartition[] partitions) => throw new NotSupportedException();

    public Task<GroupDescription> DescribeAsync() => throw new NotSupportedException();

    public Task<ErrorCode> DeleteAsync() => throw new NotSupportedException();

    public Task<int> LocateAsync() => Task.FromResult(1);

    public void Dispose() => _timer.Dispose();

    string IMemberIdSource.Next() => $"{++_ids}";

    private static MemberRef Ref(MemberIdentity member) => new(member.MemberId, member.GroupInstanceId, member.GenerationId);

    private ConsumerGroup Load() => new(
        new GroupOptions { InitialRebalanceDelayMs = 0, MinSessionTimeoutMs = 1 }, this, IGroupGrain.MaxWaitMs, _snapshot, _offsets, Now);

    private Task<GroupReply> AskAsync(Action<ConsumerGroup, long> call)
    {
        var source = new TaskCompletionSource<GroupReply>(TaskCreationOptions.RunContinuationsAsynchronously);
        Do(group =>
        {
            long token = ++_tokens;
            _calls.Add(token, source);
            call(group, token);
        });
        return source.Task;
    }

    private void Do(Action<ConsumerGroup> action)
    {
        lock (_gate)
        {
            action(_group);
            while (_group.TryTakeWrite(out GroupWrite write))
            {
                _snapshot = write.Metadata ?? (write.Clear ? null : _snapshot);
                _group.Written(write.Sequence);
            }

            foreach ((long token, GroupReply reply) in _group.TakeAnswers())
            {
                _calls.Remove(token, out TaskCompletionSource<GroupReply>? source);
                source!.SetResult(reply);
            }

            _timer?.Change(TimeSpan.FromMilliseconds(Math.Clamp(_group.NextDeadline - Now, 0, 3_600_000)), Timeout.InfiniteTimeSpan);
        }
    }
}
