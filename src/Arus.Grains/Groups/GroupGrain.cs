using Arus.Coordination;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans;
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

    /// <summary>
    /// Reads what is stored. A group without members is only looked at until somebody needs it: to claim it writes all its rows, and
    /// listing thousands of idle groups must not.
    /// </summary>
    private async Task LoadAsync(bool claim)
    {
        GroupSnapshot? snapshot = await _store.LoadAsync(claim);
        long nowMs = NowMs;
        _group = new ConsumerGroup(GroupOptions.From(broker.Config), new MemberIds(), IGroupGrain.MaxWaitMs, snapshot, _store.Offsets, nowMs);
        _claimed = claim || snapshot is null;
        if (claim && snapshot is not null)
        {
            LogLoaded(_groupId, snapshot.Generation, snapshot.Members.Count);
        }

        // What expired while nobody coordinated the group must not be answered any more.
        _group.Advance(nowMs);
    }

    private Task ClaimAsync()
    {
        return _claimed || _lost ? Task.CompletedTask : _claiming ??= ClaimOnceAsync();

        async Task ClaimOnceAsync()
        {
            try
            {
                await LoadAsync(claim: true);
            }
            catch (Exception failure)
            {
                Lose(failure);
            }
        }
    }

    /// <summary>Hands a call to the group, and waits for its reply; null if the group was lost first.</summary>
    private async Task<GroupReply?> AskAsync(Action<long> call)
    {
        await ClaimAsync();
        if (_lost)
        {
            return null;
        }

        long token = ++_tokens;
        var source = new TaskCompletionSource<GroupReply?>(TaskCreationOptions.RunContinuationsAsynchronously);
        _calls.Add(token, source);
        call(token);
        Pump();
        return await source.Task;
    }

    private void Pump()
    {
        if (_lost)
        {
            return;
        }

        SendAnswers();
        if (!_writing && _claimed)
        {
            _ = WriteChangesAsync();
        }

        ArmTimer();
    }

    private void SendAnswers()
    {
        foreach ((long token, GroupReply reply) in _group.TakeAnswers())
        {
            if (_calls.Remove(token, out TaskCompletionSource<GroupReply?>? source))
            {
                source.SetResult(reply);
            }
        }
    }

    /// <summary>One write at a time; what changes meanwhile goes with the next.</summary>
    private async Task WriteChangesAsync()
    {
        _writing = true;
        try
        {
            while (!_lost && _group.TryTakeWrite(out GroupWrite write))
            {
                await StoreAsync(write);
                if (!_lost)
                {
                    _group.Written(write.Sequence);
                    SendAnswers();
                    ArmTimer();
                }
            }
        }
        catch (Exception failure)
        {
            Lose(failure);
        }
        finally
        {
            _writing = false;
        }
    }

    private async Task StoreAsync(GroupWrite write)
    {
        var catalog = GrainFactory.GetGrain<IGroupCatalogGrain>(TopicCatalog.ShardOf(_groupId));
        if (!_store.Exists && write.Metadata is not null)
        {
            // Listed before it exists: a listed group that does not is found out, one that is not listed would stay hidden.
            await catalog.AddAsync(_groupId);
        }

        await _store.WriteAsync(write);
        if (!_store.Exists)
        {
            await catalog.RemoveAsync(_groupId);
        }
    }

    private void ArmTimer()
    {
        // A tick that comes too early does nothing, so a deadline that moved back needs no new one.
        long deadline = _group.NextDeadline;
        if (deadline >= _armed)
        {
            return;
        }

        _armed = deadline;
        var due = TimeSpan.FromMilliseconds(Math.Max(deadline - NowMs, 0));
        if (_timer is null)
        {
            // Interleaved: the calls that wait for this tick are running requests.
            _timer = this.RegisterGrainTimer(OnTimerAsync, new GrainTimerCreationOptions(due, Timeout.InfiniteTimeSpan) { Interleave = true });
        }
        else
        {
            _timer.Change(due, Timeout.InfiniteTimeSpan);
        }
    }

    private async Task OnTimerAsync(CancellationToken cancellationToken)
    {
        _armed = long.MaxValue;
        if (!_lost)
        {
            _group.Advance(NowMs);
            if (_group.HasChanges)
            {
                await ClaimAsync();
            }

            Pump();
        }
    }

    /// <summary>
    /// Another activation owns the group, or what is stored is unknown: this one ends. Its callers ask again, and reach one that
    /// begins with what is stored.
    /// </summary>
    private void Lose(Exception? failure)
    {
        if (_lost)
        {
            return;
        }

        if (failure is null or InconsistentStateException)
        {
            LogFenced(_groupId);
        }
        else
        {
            LogFailed(failure, _groupId);
        }

        RefuseAll();
        DeactivateOnIdle();
    }

    private void RefuseAll()
    {
        _lost = true;
        foreach (TaskCompletionSource<GroupReply?> source in _calls.Values)
        {
            source.SetResult(null);
        }

        _calls.Clear();
        _timer?.Dispose();
        _timer = null;
    }

    [LoggerMessage(LogLevel.Information, "Coordinates group {Group}, generation {Generation}, with {Members} members.")]
    private partial void LogLoaded(string group, int generation, int members);

    [LoggerMessage(LogLevel.Information, "Group {Group}: {Count} members leave ({Reason}).")]
    private partial void LogLeft(string group, int count, string reason);

    [LoggerMessage(LogLevel.Information, "Group {Group} has another coordinator now; this one ends.")]
    private partial void LogFenced(string group);

    [LoggerMessage(LogLevel.Error, "The state of group {Group} could not be stored; its coordinator starts anew.")]
    private partial void LogFailed(Exception failure, string group);

    private sealed class MemberIds : IMemberIdSource
    {
        public string Next() => Guid.NewGuid().ToString();
    }
}
