using Arus.Coordination.Replication;
using Arus.Storage;

namespace Arus.Simulation;

/// <summary>A partition's log in one process, and the disk's work on it, which is done in its order and takes its time.</summary>
internal sealed class Replica(BrokerProcess process, PartitionId id)
{
    private readonly World _world = process.Cluster.World;
    private readonly List<(ValueTask<LogAppendResult[]> Task, Action<LogAppendResult[]> Done)> _appends = [];
    private readonly List<Action> _closed = [];
    private long _busyUntilMs;
    private bool _isFlushQueued;
    private bool _isOpening;
    private bool _isClosing;
    private int _servedEpoch = -1;

    public PartitionId Id => id;

    public BrokerProcess Process => process;

    public PartitionHistory History { get; } = process.Cluster.History(id);

    public SimulatedLog? Log { get; private set; }

    public ReplicaView? View { get; private set; }

    /// <summary>Told when the view or the high watermark has changed, or the log has failed.</summary>
    public event Action? Changed;

    public void Open(PartitionState state)
    {
        if (_isClosing)
        {
            _closed.Add(() => Open(state));
            return;
        }

        if (_isOpening || Log is not null)
            throw ViolationException.Safety(10, $"{History.Name} is opened twice by {process}");

        _isOpening = true;
        QueueIo(() =>
        {
            _isOpening = false;
            TryOpen(state);
        });
    }

    public void Close(bool delete)
    {
        _isClosing = true;
        Changed?.Invoke();
        QueueIo(() =>
        {
            Guard(() => Log?.Close(delete));
            if (delete)
                _world.Statistics.Count(Rule.LogDeleted);

            (Log, _isClosing) = (null, false);
            Action[] waiting = [.. _closed];
            _closed.Clear();
            Array.ForEach(waiting, action => action());
        });
    }

    /// <summary>A graceful stop of the process.</summary>
    public void CloseAtEnd()
    {
        Guard(() => Log?.Close(delete: false));
        Log = null;
    }

    public void Prepare(ReplicationEffect.Prepare prepare)
    {
        if (Log is not { } log)
            return;

        process.Note($"prepares {History.Name}: epoch {prepare.Epoch} truncate {prepare.TruncateTo} restart {prepare.RestartAt}"
            + (prepare.RenewLogId ? " new id" : ""));
        History.CheckCut(log, prepare.TruncateTo, prepare.RestartAt);
        CountPrepare(log, prepare);
        ValueTask task = log.Prepare(prepare.Epoch, prepare.TruncateTo, prepare.RestartAt, prepare.RenewLogId);
        QueueIo(() =>
        {
            if (Log != log || !Guard(() => log.FinishPrepare(task, prepare.TruncateTo, prepare.RestartAt, prepare.RenewLogId)))
                return;

            process.Broker.Fences[id] = (log.LogId, prepare.Epoch);
            CompleteAppends();
            process.Tell((machine, now) => machine.Prepared(id, now));
        });
    }

    public void AppendPushed(ReadOnlyMemory<byte>[] records, int epoch)
    {
        if (Log is not { } log)
            return;

        if (records.Length == 0)
            throw new InvalidOperationException("An empty push is appended.");

        Append(records, epoch, AppendOrigin.Replica, results =>
        {
            if (Array.Exists(results, result => result.Error != ErrorCode.None))
            {
                process.Note($"{History.Name} refuses a push: {results[0].Error} {results[0].Message}");
                Fail();
                return;
            }

            _world.Statistics.Count(Rule.PushAppended);
            if (Log == log)
                process.Tell((machine, now) => machine.Appended(id, now));
        });
    }

    public void Append(ReadOnlyMemory<byte>[] entries, int epoch, AppendOrigin origin, Action<LogAppendResult[]> done)
    {
        ValueTask<LogAppendResult[]> task = Log!.Append(entries, epoch, origin);
        if (task.IsCompleted)
        {
            LogAppendResult[] results = task.Result;
            process.Post(0, () => done(results));
            return;
        }

        _appends.Add((task, done));
        if (_isFlushQueued)
            return;

        _isFlushQueued = true;
        QueueIo(() =>
        {
            _isFlushQueued = false;
            RunIo();
        });
    }

    public void AdvanceHighWatermark(long highWatermark, long logStartOffset)
    {
        // The log may have failed a moment ago, and the machine not know yet.
        if ((Log ?? process.Broker.Logs.GetValueOrDefault(id)) is not { } log)
            return;

        long before = log.HighWatermark;
        long after = Math.Min(highWatermark, log.DurableEndOffset);
        if (after > before)
        {
            process.Note($"moves the high watermark of {History.Name} from {before} to {after}");
            _world.Statistics.Count(Rule.HighWatermarkMoved);
            History.HighWatermarkMoved(log, before, after, View);
        }

        if (Log is not null && Guard(() => log.AdvanceHighWatermark(highWatermark, logStartOffset)))
            Changed?.Invoke();
    }

    public void Publish(ReplicaView view)
    {
        View = view;
        if (view.Role == ReplicaRole.Leader && Log is { } log && _servedEpoch != view.State.LeaderEpoch)
        {
            _servedEpoch = view.State.LeaderEpoch;
            process.Note($"leads {Text.Of(view.State)} from {view.EpochStart}");
            History.LeaderServes(process, log, view);
        }

        Changed?.Invoke();
    }

    /// <summary>Deletes records of the leader's log.</summary>
    public LogDeleteResult DeleteRecords(long before)
    {
        LogDeleteResult result = default;
        if (!Guard(() => result = Log!.DeleteRecords(before)))
            return new LogDeleteResult(ErrorCode.KafkaStorageError, -1);

        process.Tell((machine, now) => machine.Durable(id, now));
        return result;
    }

    /// <summary>What the broker does to every log now and then: retention.</summary>
    public void Maintain()
    {
        if (Log is not { } log)
            return;

        long before = log.LogStartOffset;
        Guard(log.Maintain);

        // Also where the disk failed in the middle of it: what is gone is gone, and the log begins behind it when it is opened again.
        if (log.LogStartOffset == before)
            return;

        _world.Statistics.Count(Rule.RetentionMovedStart);
        process.Note($"retention moves the start of {History.Name} from {before} to {log.LogStartOffset}");
        History.Deleted(log.LogStartOffset);
        CompleteAppends();
        process.Tell((machine, now) => machine.Durable(id, now));
    }

    private void TryOpen(PartitionState state)
    {
        SimulatedLog? before = process.Broker.Logs.GetValueOrDefault(id);
        SimulatedLog log;
        try
        {
            log = SimulatedLog.Open(process.Broker, state, process.Cluster.LogConfig, _world.NowMs);
        }
        catch (LogException e)
        {
            process.Note($"cannot open {History.Name}: {e.Message}");
            _world.Statistics.Count(Rule.LogFailed);
            process.Tell((machine, now) => machine.LogFailed(id, now));
            return;
        }

        if (before is not null)
            new RecoveryCheck(process, History, before, log).Run();

        process.Note($"opens {History.Name}: {log.LogStartOffset} to {log.DurableEndOffset}, high watermark {log.HighWatermark}, "
            + $"fence {log.FencedEpoch}, id {log.LogId.ToString("N")[..4]}");
        process.Broker.Logs[id] = log;
        Log = log;
        log.FailedByItself += () => process.Post(0, () => Guard(() => { }));
        process.Tell((machine, now) =>
        {
            machine.Configure(id, History.Topic.MinInSyncReplicas, History.Topic.AllowsUnclean, now);
            machine.LogOpened(id, log, now);
        });
    }

    /// <summary>The work is done after what was queued before, and takes the disk's time.</summary>
    private void QueueIo(Action work)
    {
        int delay = process.Broker.DiskDelayMs;
        _busyUntilMs = Math.Max(_busyUntilMs, _world.NowMs) + (delay > 0 ? _world.Random.Next(delay) : _world.Random.Next(3));
        process.Post(_busyUntilMs - _world.NowMs, work);
    }

    private void RunIo()
    {
        if (Log is not { } log || !Guard(log.RunIo))
            return;

        long before = log.DurableEndOffset;
        CompleteAppends();
        if (Log == log && View is { Role: ReplicaRole.Leader } && before >= 0)
            process.Tell((machine, now) => machine.Durable(id, now));
    }

    /// <summary>Runs work on the log; when the log does not survive it, it is closed, and the machine is told.</summary>
    private bool Guard(Action work)
    {
        try
        {
            work();
        }
        catch (LogException e)
        {
            process.Note($"{History.Name}: {e.Message}");
            Fail();
            return false;
        }

        if (Log?.Failure is null)
            return true;

        Fail();
        return false;
    }

    private void CompleteAppends()
    {
        (ValueTask<LogAppendResult[]> Task, Action<LogAppendResult[]> Done)[] done = [.. _appends.Where(append => append.Task.IsCompleted)];
        _appends.RemoveAll(append => append.Task.IsCompleted);
        foreach ((ValueTask<LogAppendResult[]> task, Action<LogAppendResult[]> action) in done)
            action(task.Result);
    }

    private void Fail()
    {
        if (Log is not { } log)
            return;

        process.Note($"loses {History.Name}: {log.Failure?.Message}");
        _world.Statistics.Count(Rule.LogFailed);
        Log = null;
        log.Abandon();
        CompleteAppends();
        _appends.Clear();
        Changed?.Invoke();
        process.Post(0, () => process.Tell((machine, now) => machine.LogFailed(id, now)));
    }

    private void CountPrepare(SimulatedLog log, ReplicationEffect.Prepare prepare)
    {
        if (prepare.RestartAt >= 0)
            _world.Statistics.Count(Rule.FollowerRestarted);
        else if (prepare.TruncateTo >= 0 && prepare.TruncateTo < log.LogEndOffset)
            _world.Statistics.Count(Rule.FollowerTruncated);
    }
}
