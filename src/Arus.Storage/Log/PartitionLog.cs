using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace Arus.Storage;

/// <summary>
/// The log over a file system: the face of the roles that make it up. The appender gives offsets and copies batches into the tail
/// cache; the log's I/O thread writes and publishes them, and makes every other change to the files; readers take what is published.
/// </summary>
internal sealed class PartitionLog : IPartitionLog, ILogWork
{
    private readonly LogContext _log;
    private readonly SegmentList _segments;
    private readonly LogCheckpointer _checkpointer;
    private readonly LogWriter _writer;
    private readonly LogAppender _appender;
    private readonly LogOperations _operations;
    private readonly ProducerStateManager _producers;
    private readonly LogProvider _provider;
    private readonly LogReplication? _replication;

    /// <summary>Of a replicated log only, as is <see cref="_replication"/>.</summary>
    private readonly ReplicaCheckpoint? _replica;

    /// <summary>What the host was last told. Used on the I/O thread.</summary>
    private long _toldDurableEnd;

    /// <summary>The closing of the log once it has begun, guarded by the appender's lock.</summary>
    private Task? _closed;

    public PartitionLog(
        LogShared shared, TopicPartition partition, string directory, Guid topicId, int affinity, TopicConfig config, LoadedLog loaded,
        LogProvider provider, LogReplication? replication)
    {
        _provider = provider;
        _replication = replication;
        _log = new LogContext(shared, partition, directory, topicId, affinity, config, this, replication?.Failed);
        _producers = loaded.Producers;
        _segments = new SegmentList(shared.Cache, loaded);
        _checkpointer = new LogCheckpointer(_log, _segments, _producers, loaded.Checkpoint);
        _replica = loaded.Replica is null ? null : new ReplicaCheckpoint(_log, _segments, _checkpointer, loaded.Replica);
        _toldDurableEnd = _segments.DurableEndOffset;
        _writer = new LogWriter(_log, _segments, _checkpointer, _replica);
        _appender = new LogAppender(_log, _segments, _producers, _writer, _replica);
        _operations = new LogOperations(_log, _segments, _appender, _writer);
    }

    public TopicPartition Partition => _log.Partition;

    public Guid TopicId => _log.TopicId;

    public TopicConfig Config => _log.Config;

    public long LogStartOffset => _segments.LogStartOffset;

    public long LogEndOffset => _segments.LogEndOffset;

    public long DurableEndOffset => _segments.DurableEndOffset;

    public long HighWatermark => _segments.HighWatermark;

    public long LastStableOffset => _segments.LastStableOffset;

    public Guid LogId => _replica?.LogId ?? Guid.Empty;

    public int FencedEpoch => _replica?.FencedEpoch ?? RecordBatchHeader.NoLeaderEpoch;

    public ImmutableArray<LogEpochStart> Epochs => ImmutableCollectionsMarshal.AsImmutableArray(_segments.Epochs);

    public long SizeBytes => _segments.SizeBytes;

    public int SegmentCount => _segments.All.Length;

    public int LatestEpoch => _segments.LatestEpoch;

    public int EarliestEpoch => _segments.EarliestEpoch;

    public Exception? Failure => _log.Failure;

    /// <summary>Two first reads at once may each make one; it remembers only what a reader may forget.</summary>
    private LogReader Reader => field ??= new(_log, _segments);

    private LogCleaner Cleaner => field ??= new(_log, _segments, _producers, _checkpointer, _operations, Retention);

    private LogPreparation? Preparation => _replica is null ? null : new(_log, _segments, _replica, Truncation);

    private LogTruncation Truncation => new(_log, _segments, _producers, _checkpointer, _writer);

    private LogRetention Retention => new(_log, _segments, _producers, _checkpointer, _writer);

    public ValueTask<LogAppendResult[]> AppendAsync(
        ReadOnlyMemory<byte>[] entries, int leaderEpoch, AppendOrigin origin = AppendOrigin.Client, VerificationGuard? guard = null)
    {
        ArgumentNullException.ThrowIfNull(entries);
        return _appender.AppendAsync(new PendingAppend(entries, leaderEpoch, origin) { Guard = guard });
    }

    public async ValueTask<LogAppendResult> EndTransactionAsync(LogMarker marker, int leaderEpoch) =>
        (await _appender.AppendAsync(marker.ToAppend(leaderEpoch, _log.Shared.NowMs)).ConfigureAwait(false))[0];

    public ValueTask<VerificationGuard?> BeginVerificationAsync(
        long producerId, short producerEpoch, int sequence, bool beginsAtZero) =>
        new(_appender.BeginVerification(producerId, producerEpoch, sequence, beginsAtZero));

    public ValueTask<LogReadResult> ReadAsync(
        long offset, int maxBytes, bool minOneBatch, LogReadLimit upTo = LogReadLimit.HighWatermark, LogReadLease? lease = null) =>
        Reader.ReadAsync(offset, maxBytes, minOneBatch, upTo, lease);

    public ValueTask<LogAbortedTransaction[]> FindAbortedAsync(long from, long to) => Reader.FindAbortedAsync(from, to);

    public ValueTask<bool> WaitForAsync(
        long offset, TimeSpan timeout, CancellationToken cancellationToken = default, LogReadLimit upTo = LogReadLimit.HighWatermark) =>
        _log.WaitersOf(upTo).WaitAsync(this, offset, timeout, cancellationToken);

    public ValueTask<LogTimestamp?> FindByTimestampAsync(long timestamp) =>
        new(new TimestampSearch(_log, _segments).FindFirstAsync(timestamp));

    public ValueTask<LogTimestamp?> FindMaxTimestampAsync() => new(new TimestampSearch(_log, _segments).FindMaxAsync());

    public LogEpochEnd EpochEnd(int leaderEpoch) => _segments.EpochEnd(leaderEpoch);

    public ValueTask TruncateToAsync(long offset)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        return new ValueTask(_operations.RunAsync(() =>
        {
            bool cuts = offset < _segments.LogEndOffset;
            if (cuts)
                Truncation.TruncateTo(offset);

            return cuts;
        }));
    }

    public void AdvanceHighWatermark(long offset, long logStartOffset = -1)
    {
        if (_replica is not null && _segments.AdvanceHighWatermark(offset, logStartOffset))
            _log.AdvanceWaiters(_segments.HighWatermark, _segments.LastStableOffset);
    }

    public async ValueTask PrepareAsync(int epoch, long truncateTo, long restartAt, bool renewLogId)
    {
        LogPreparation preparation = Preparation
            ?? throw new InvalidOperationException($"The log of {Partition} was not opened as a replica.");
        Task<LogException?> prepared = _operations.RunAsync(() => preparation.Prepare(epoch, truncateTo, restartAt, renewLogId));
        if (await prepared.ConfigureAwait(false) is { } refusal)
            throw refusal;
    }

    /// <summary>Completes a cut that was under way when the broker went down. Called before anybody has the log.</summary>
    public void ResumeCut()
    {
        using (_appender.Exclude())
        {
            Preparation?.Resume();
            _appender.Reset();
            _toldDurableEnd = _segments.DurableEndOffset;
        }
    }

    /// <summary>Has the high watermark of a replicated log written if it has moved.</summary>
    public void CheckpointOffsets() => _replica?.QueueOffsets();

    public ValueTask<LogDeleteResult> DeleteRecordsAsync(long beforeOffset) =>
        new(_operations.RunAsync(() => Retention.DeleteRecords(beforeOffset)));

    public void Reconfigure(TopicConfig config) => _log.Config = config;

    public bool FailIfDamaged()
    {
        if (_replica is null || _log.Damage is not { } damage)
            return false;

        // Nobody writes the index again once the log has failed, and without it the segment is read as a whole.
        using (_checkpointer.Exclude())
        {
            try
            {
                _log.Shared.FileSystem.DeleteFile(damage.Segment.IndexPath);
            }
            catch (IOException)
            {
                // The damage is found again by the next who reads it.
            }

            _log.Fail(damage.Reason);
        }

        return true;
    }

    public ValueTask<LogMaintenanceResult> MaintainAsync(CancellationToken cancellationToken = default) =>
        _log.MaintainAsync(
            () => _operations.RunAsync(Retention.Apply), () => Cleaner.CleanAsync(cancellationToken), cancellationToken);

    public ValueTask<LogProducer[]> DescribeProducersAsync() => new(_operations.RunAsync(_producers.Describe));

    public ValueTask FlushAsync() =>
        new(_operations.RunAsync(() =>
        {
            bool isBehind = _checkpointer.IsBehind;
            if (isBehind)
                _checkpointer.CheckpointEnd();

            return isBehind;
        }));

    public async ValueTask DisposeAsync() => await CloseAsync(checkpoint: true).ConfigureAwait(false);

    public ValueTask DeleteAsync() => _provider.DeleteAsync(Partition, TopicId);

    /// <summary>Closes the log. The first call decides how; all complete when the log is closed.</summary>
    /// <param name="checkpoint">Whether the log may be opened again; false when it is about to be deleted.</param>
    public Task CloseAsync(bool checkpoint)
    {
        using (_appender.Exclude())
            return _closed ??= CloseOnceAsync(checkpoint); // From here on, nothing is appended.
    }

    public override string ToString() => _log.Directory;

    /// <summary>A turn on the log's I/O thread.</summary>
    void ILogWork.Execute()
    {
        _log.BeginIo();
        _writer.WritePending();
        TellDurableEnd();
        _operations.Execute();
        TellDurableEnd();
        _appender.AppendWaiting();
        _log.Shared.Cache.Trim();
    }

    private void TellDurableEnd()
    {
        if (_replication is not null && _segments.DurableEndOffset is var end && end != _toldDurableEnd)
        {
            _toldDurableEnd = end;
            _replication.DurableEndMoved();
        }
    }

    private async Task CloseOnceAsync(bool checkpoint)
    {
        _log.Phase = LogPhase.Closing;
        try
        {
            await _operations.RunAsync(() => Close(checkpoint), evenIfFailed: true).ConfigureAwait(false);
        }
        finally
        {
            _provider.OnClosed(this);
        }
    }

    private bool Close(bool checkpoint)
    {
        try
        {
            if (checkpoint && _log.Failure is null)
            {
                if (_checkpointer.IsBehind)
                    _checkpointer.CheckpointEnd();

                _replica?.MarkClean();
            }
        }
        catch (Exception error)
        {
            // Reported; what was acknowledged is on the disk, and recovery finds it without the checkpoint.
            _log.Fail(error);
        }

        using (_checkpointer.Exclude())
        {
            // The files are closed for good, and the seal thread keeps off them.
            _log.Phase = LogPhase.Closed;
            Array.ForEach(_segments.All, segment => segment.File.Retire());
        }

        _segments.Tail.Clear();
        _writer.Close();
        _log.CloseWaiters();
        return checkpoint;
    }
}
