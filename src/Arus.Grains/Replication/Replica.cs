using System.Collections.Concurrent;
using Arus.Coordination.Replication;
using Arus.Storage;

namespace Arus.Grains;

/// <summary>
/// A partition's log on this broker, in whichever role. What the machine asks for it is done in its order, one after the other, except
/// that pushed records become durable while further ones are appended. Safe for use by any thread.
/// </summary>
internal sealed class Replica(PartitionState state, ReplicaWork work)
{
    /// <summary>Records up to this size are copied and checked on the thread that brings them.</summary>
    private const int MaxInlineBytes = 16_384;

    private readonly ConcurrentQueue<ReplicaTask> _tasks = new();
    private int _isBusy;
    private int _isNoted;
    private Task _appending = Task.CompletedTask;
    private ReplicaLog? _log;
    private volatile Leadership? _leadership;
    private volatile LeaderLog? _follower;
    private volatile ReplicaView? _view;
    private volatile bool _isClosed;
    private volatile bool _isPreparing;

    public PartitionId Id { get; } = state.Id;

    public TopicPartition Partition { get; } = new(state.Topic, state.Id.Partition);

    /// <summary>The log is in the database.</summary>
    public bool IsShared { get; } = state.IsShared;

    /// <summary>Null while it is not open.</summary>
    public ReplicaLog? Log => Volatile.Read(ref _log);

    public ReplicaView? View => _view;

    /// <summary>The keys set on the topic, once the log is open.</summary>
    public IReadOnlyDictionary<string, string> Configs { get; set; } = new Dictionary<string, string>();

    /// <summary>Null while this broker does not lead.</summary>
    public Leadership? Leadership => _leadership;

    /// <summary>The leadership's face for clients; null while this broker does not lead.</summary>
    public LeaderLog? Leader { get; private set; }

    /// <summary>
    /// The log for consumers of a follower; null while this broker follows nobody, and while the log is being cut for a leader.
    /// </summary>
    public LeaderLog? Follower => _isPreparing ? null : _follower;

    /// <summary>Nothing of the partition is here any more, and nothing is to be done.</summary>
    public bool IsClosed => _isClosed && _tasks.IsEmpty;

    /// <param name="task">Its effect is of this partition.</param>
    public void Enqueue(ReplicaTask task)
    {
        _tasks.Enqueue(task);
        if (Interlocked.Exchange(ref _isBusy, 1) == 0)
            _ = RunAsync();
    }

    /// <summary>Completes when all that was asked for before is done.</summary>
    public Task CloseAsync()
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Enqueue(new ReplicaTask(new ReplicationEffect.CloseLog(Id, Delete: false), Done: done));
        return done.Task;
    }

    /// <summary>Whether the durable end's move has to be told: the machine has seen those before. Called from the log's threads.</summary>
    public bool TryNote() => Interlocked.Exchange(ref _isNoted, 1) == 0;

    /// <summary>The log has failed by itself, and is to be opened again. Called from any thread, perhaps under a lock of the log.</summary>
    public void NoteFailure() => _ = Task.Run(async () =>
    {
        if (Log is { Log.Failure: { } reason } log)
            await FailAsync(log, reason).ConfigureAwait(false);
    });

    /// <summary>The machine is about to look at the durable end.</summary>
    public void BeginLook() => Volatile.Write(ref _isNoted, 0);

    private async Task RunAsync()
    {
        do
        {
            while (_tasks.TryDequeue(out ReplicaTask task))
            {
                if (task.Records.SizeInBytes > MaxInlineBytes)
                    await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);

                try
                {
                    await RunAsync(task).ConfigureAwait(false);
                }
                catch (Exception e)
                {
                    await FailAsync(Log, e).ConfigureAwait(false);
                }

                task.Done?.TrySetResult();
            }

            Volatile.Write(ref _isBusy, 0);
        }
        while (!_tasks.IsEmpty && Interlocked.Exchange(ref _isBusy, 1) == 0);
    }

    private ValueTask RunAsync(ReplicaTask task)
    {
        switch (task.Effect)
        {
            case ReplicationEffect.OpenLog open:
                return OpenAsync(open.State);
            case ReplicationEffect.CloseLog close:
                return CloseAsync(close.Delete);
            case ReplicationEffect.Prepare prepare:
                return PrepareAsync(prepare);
            case ReplicationEffect.AppendPushed:
                _appending = AppendAsync(_appending, task);
                return ValueTask.CompletedTask;
            case ReplicationEffect.AdvanceHighWatermark advance:
                Log?.Log.AdvanceHighWatermark(advance.HighWatermark, advance.LogStartOffset);
                return ValueTask.CompletedTask;
            case ReplicationEffect.Publish publish:
                Publish(publish.View);
                return ValueTask.CompletedTask;
            default:
                throw new InvalidOperationException($"{task.Effect} is of no partition.");
        }
    }

    private async ValueTask OpenAsync(PartitionState state)
    {
        await CloseLogAsync().ConfigureAwait(false);
        IPartitionLog log = await Task.Run(() => work.OpenAsync(this, state)).ConfigureAwait(false);
        Volatile.Write(ref _log, new ReplicaLog(log));
        (_isClosed, _isPreparing) = (false, false);
        work.Opened(this, _log!);
        if (log.Failure is not null)
            NoteFailure();
    }

    private async ValueTask CloseAsync(bool delete)
    {
        EndLeadership();
        await CloseLogAsync().ConfigureAwait(false);
        if (delete)
            await work.DeleteAsync(this).ConfigureAwait(false);

        _isClosed = true;
        work.Closed(this);
    }

    private async ValueTask CloseLogAsync()
    {
        ReplicaLog? log = Interlocked.Exchange(ref _log, null);
        _follower = null;
        if (log is null)
            return;

        await _appending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _appending = Task.CompletedTask;
        await log.Log.DisposeAsync().ConfigureAwait(false);
    }

    private async ValueTask PrepareAsync(ReplicationEffect.Prepare prepare)
    {
        await _appending.ConfigureAwait(false);
        if (Log is not { } log)
            return;

        _isPreparing = true;
        await log.Log.PrepareAsync(prepare.Epoch, prepare.TruncateTo, prepare.RestartAt, prepare.RenewLogId).ConfigureAwait(false);
        _isPreparing = false;
        work.Prepared(this);
    }

    private async Task AppendAsync(Task before, ReplicaTask push)
    {
        ReplicaLog? log = Log;
        if (log is null)
            return;

        try
        {
            ValueTask<LogAppendResult[]> append = log.Log.AppendAsync(push.Records.Segments, push.Epoch, AppendOrigin.Replica);
            await before.ConfigureAwait(false);
            LogAppendResult[] results = await append.ConfigureAwait(false);
            push.Appended?.Invoke();
            if (Array.Find(results, result => result.Error != ErrorCode.None) is { Error: not ErrorCode.None } refused)
                throw new LogException($"{Partition} does not take what its leader pushed: {refused.Message}", error: refused.Error);

            work.Appended(this);
        }
        catch (Exception e)
        {
            await FailAsync(log, e).ConfigureAwait(false);
        }
    }

    private void Publish(ReplicaView view)
    {
        ReplicaView? before = _view;
        _view = view;
        _follower = view.Role == ReplicaRole.Follower && Log is { } copy ? work.Follow(copy.Log, view.State.LeaderEpoch) : null;
        if (view.Role == ReplicaRole.Leader && Log is { } log)
        {
            if (_leadership is { } present && present.Epoch == view.State.LeaderEpoch)
            {
                present.Update(view);
            }
            else
            {
                EndLeadership();
                var leadership = new Leadership(log.Log, view, work.Leases, work.Clock);
                Leader = work.Lead(this, leadership);
                _leadership = leadership;
            }
        }
        else
        {
            EndLeadership();
        }

        work.Published(this, before, view);
    }

    private void EndLeadership()
    {
        Leadership? ended = _leadership;
        (_leadership, Leader) = (null, null);
        ended?.End();
    }

    /// <param name="failed">Null when the log could not be opened.</param>
    private async ValueTask FailAsync(ReplicaLog? failed, Exception reason)
    {
        if (Interlocked.CompareExchange(ref _log, null, failed) != failed)
            return; // It was closed meanwhile.

        EndLeadership();
        _follower = null;
        if (failed is not null)
            await work.CloseFailedAsync(failed.Log).ConfigureAwait(false);

        work.Failed(this, reason);
    }
}

/// <param name="Records">What a push brought, and <paramref name="Epoch"/> the epoch of the leader that sent it.</param>
/// <param name="Appended">Called when the log has the records, and reads them no more.</param>
/// <param name="Done">Set when it is done.</param>
internal readonly record struct ReplicaTask(
    ReplicationEffect Effect, RecordBytes Records = default, int Epoch = -1, Action? Appended = null, TaskCompletionSource? Done = null);
