using Arus.Coordination;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <content>How the machine is fed and its changes are stored: one write at a time, a timer, and the end when the group is another's.</content>
public sealed partial class GroupGrain
{
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

    [LoggerMessage(LogLevel.Information, "Group {Group} has another coordinator now; this one ends.")]
    private partial void LogFenced(string group);

    [LoggerMessage(LogLevel.Error, "The state of group {Group} could not be stored; its coordinator starts anew.")]
    private partial void LogFailed(Exception failure, string group);

    private sealed class MemberIds : IMemberIdSource
    {
        public string Next() => Guid.NewGuid().ToString();
    }
}
