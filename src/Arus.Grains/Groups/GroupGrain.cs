using Arus.Coordination;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>Hosts a <see cref="ConsumerGroup"/>: feeds it calls and time, stores its changes, and answers when it says so.</summary>
public sealed partial class GroupGrain(ILocalBroker broker, TimeProvider time, ILogger<GroupGrain> logger) : Grain, IGroupGrain
{
    private const string StorageName = "arus";

    private readonly Dictionary<long, TaskCompletionSource<GroupReply?>> _calls = [];
    private ConsumerGroup _group = null!;
    private GroupStore _store = null!;
    private IGrainTimer? _timer;
    private string _groupId = "";
    private long _startMs;
    private long _startTimestamp;
    private long _armed = long.MaxValue;
    private long _tokens;
    private Task? _claiming;
    private bool _claimed;
    private bool _writing;
    private bool _lost;

    /// <summary>Follows the wall clock from the activation on, but not its jumps: a session must not end because a clock was set.</summary>
    private long NowMs => _startMs + (long)time.GetElapsedTime(_startTimestamp).TotalMilliseconds;

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _groupId = this.GetPrimaryKeyString();
        _store = new GroupStore(ServiceProvider.GetRequiredKeyedService<IGrainStorage>(StorageName), this.GetGrainId(), Guid.NewGuid());
        _startMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        _startTimestamp = time.GetTimestamp();
        await LoadAsync(claim: false);
        if (!_claimed && (_group.State != GroupState.Empty || _group.HasChanges))
        {
            await LoadAsync(claim: true);
        }

        Pump();
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        RefuseAll();
        return Task.CompletedTask;
    }

    public async Task<JoinGroupResult> JoinAsync(JoinGroupCommand command) =>
        await AskAsync(token => _group.Join(token, command.ToRequest(), NowMs)) is JoinReply reply
            ? reply.ToResult()
            : new JoinGroupResult(ErrorCode.NotCoordinator, false, command.MemberId, -1, null, null, "", false, []);

    public async Task<SyncGroupResult> SyncAsync(SyncGroupCommand command) =>
        await AskAsync(token => _group.Sync(token, command.ToRequest(), NowMs)) is SyncReply reply
            ? reply.ToResult()
            : new SyncGroupResult(ErrorCode.NotCoordinator, false, null, null, default);

    public async Task<ErrorCode> HeartbeatAsync(MemberIdentity member)
    {
        await ClaimAsync();
        ErrorCode error = _lost ? ErrorCode.NotCoordinator : _group.Heartbeat(member.ToMember(), NowMs);
        Pump();
        return error;
    }

    public async Task<ErrorCode[]> LeaveAsync(MemberIdentity[] members, string? reason)
    {
        await ClaimAsync();
        if (_lost)
        {
            return Refused(members.Length);
        }

        ErrorCode[] errors = _group.Leave(Array.ConvertAll(members, member => member.ToMember()), NowMs);
        LogLeft(_groupId, members.Length, reason ?? "no reason given");
        Pump();
        return errors;
    }

    public async Task<ErrorCode[]> CommitOffsetsAsync(CommitOffsetsCommand command)
    {
        OffsetToCommit[] offsets = Array.ConvertAll(command.Offsets, offset => offset.ToCommit());
        return await AskAsync(token => _group.CommitOffsets(token, command.Member.ToMember(), command.RetentionMs, offsets, NowMs)) is ErrorsReply reply
            ? reply.Errors
            : Refused(offsets.Length);
    }

    public async Task<CommittedOffset[]> FetchOffsetsAsync(TopicPartition[]? partitions)
    {
        // Whoever owned the group before would answer from what it remembers, and so take a consumer back to where it was.
        await ClaimAsync();
        if (!_lost && !await _store.IsOwnerAsync())
        {
            Lose(null);
        }

        return await AskAsync(token => _group.FetchOffsets(token, partitions)) is OffsetsReply reply ? reply.ToResult() : throw NotCoordinator();
    }

    public async Task<ErrorCode[]> DeleteOffsetsAsync(TopicPartition[] partitions) =>
        await AskAsync(token => _group.DeleteOffsets(token, partitions)) is ErrorsReply reply ? reply.Errors : Refused(partitions.Length);

    public Task<GroupDescription> DescribeAsync() =>
        _lost ? throw NotCoordinator() : Task.FromResult(_group.Describe().ToDescription(_groupId, broker.BrokerId));

    public async Task<ErrorCode> DeleteAsync() =>
        await AskAsync(_group.Delete) is ErrorReply reply ? reply.Error : ErrorCode.NotCoordinator;

    public Task<int> LocateAsync() => Task.FromResult(broker.BrokerId);

    private ArusException NotCoordinator() => new(ErrorCode.NotCoordinator, $"The coordinator of group '{_groupId}' has moved; ask again.");

    private static ErrorCode[] Refused(int count)
    {
        var errors = new ErrorCode[count];
        Array.Fill(errors, ErrorCode.NotCoordinator);
        return errors;
    }

    [LoggerMessage(LogLevel.Information, "Group {Group}: {Count} members leave ({Reason}).")]
    private partial void LogLeft(string group, int count, string reason);
}
