using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace Arus.Storage.Rows;

/// <summary>
/// The log over rows of a shared store. A group commit is one row, inserted under the offset at which the log ends: of two leaders
/// that are active at once, one loses that insert, reads what the other wrote, and goes on behind it, or stops when the other's
/// epoch is newer. Any silo can take over any partition.
/// </summary>
/// <remarks>
/// <para>A leader claims its epoch in the head, then in the fence, before it writes, and looks at the fence after every insert, before it
/// acknowledges. So the rows of an older leader are either seen by the newer one when it claims, or not acknowledged; and rows may be
/// merged and deleted although an older leader may still try to insert where they were.</para>
/// <para>Rows are never changed. Merging, compaction and truncation write new ones beside them; then the head, in one step, lists these
/// and counts those as garbage; then the garbage is deleted. A truncation besides begins a new generation of keys: what an older leader
/// still inserts into the old one is never looked for.</para>
/// <para>The last row is left alone by compaction, as the active segment of a log in files is.</para>
/// </remarks>
public sealed class RowPartitionLog : IPartitionLog
{
    private readonly ProducerStateManager _producers = new();
    private readonly RowLogContext _log;
    private readonly RowList _rows = new();
    private readonly RowLeadership _leadership;
    private readonly RowOperations _operations;
    private readonly RowAppender _appender;
    private readonly RowReader _reader;
    private readonly RowRetention _retention;
    private readonly RowTruncation _truncation;
    private readonly RowCleaner _cleaner;

    private RowPartitionLog(TopicPartition partition, ISegmentRowStore store, TopicConfig config, RowLogOptions options)
    {
        ProducerStateManager producers = _producers;
        _log = new RowLogContext(partition, options, config);
        var cached = new RowStore(partition, store, options);
        _leadership = new RowLeadership(_log, cached, _rows, producers);
        _operations = new RowOperations(_log);
        _appender = new RowAppender(_log, cached, _rows, _leadership, producers, _operations);
        _reader = new RowReader(_log, cached, _rows, _leadership);
        var merger = new RowMerger(_log, cached, _rows, _leadership, _operations);
        _retention = new RowRetention(_log, _rows, _leadership, producers, merger, _operations);
        _truncation = new RowTruncation(_log, cached, _rows, _leadership, producers, merger);
        _cleaner = new RowCleaner(_log, cached, _rows, _leadership, producers, _operations, merger);
    }

    public TopicPartition Partition => _log.Partition;

    public TopicConfig Config => _log.Config;

    public long LogStartOffset => _rows.LogStartOffset;

    /// <summary>The same as <see cref="HighWatermark"/>: offsets are given when a row is written.</summary>
    public long LogEndOffset => _rows.EndOffset;

    public long HighWatermark => _rows.EndOffset;

    public long DurableEndOffset => _rows.EndOffset;

    public long LastStableOffset => _rows.LastStableOffset;

    /// <summary>Empty: the log is one copy, which every broker reads.</summary>
    public Guid LogId => Guid.Empty;

    /// <summary>The epoch that has claimed the log, as far as this log knows.</summary>
    public int FencedEpoch => _leadership.ClaimedEpoch;

    public ImmutableArray<LogEpochStart> Epochs => ImmutableCollectionsMarshal.AsImmutableArray(_rows.Epochs);

    public long SizeBytes => _rows.SizeBytes;

    public int SegmentCount => _rows.Count;

    public int LatestEpoch => _rows.LatestEpoch;

    public int EarliestEpoch => _rows.EarliestEpoch;

    public Exception? Failure => _log.Failure;

    /// <summary>Opens a partition's log: reads the head, then the rows behind it.</summary>
    /// <param name="leaderEpoch">The epoch to claim at once; -1 to read only until the first append, which brings one.</param>
    /// <exception cref="LogException">The store fails, or holds something damaged, or a newer leader has claimed the log.</exception>
    public static async Task<RowPartitionLog> OpenAsync(
        TopicPartition partition, ISegmentRowStore store, TopicConfig config, RowLogOptions options, int leaderEpoch = -1)
    {
        var log = new RowPartitionLog(partition, store, config, options);
        await log._leadership.LoadAsync().ConfigureAwait(false);
        if (leaderEpoch >= 0 && await log._leadership.ClaimAsync(leaderEpoch).ConfigureAwait(false) is { } fenced)
            throw new LogException(fenced, error: ErrorCode.FencedLeaderEpoch);

        return log;
    }

    public ValueTask<LogAppendResult[]> AppendAsync(
        ReadOnlyMemory<byte>[] entries, int leaderEpoch, AppendOrigin origin = AppendOrigin.Client, VerificationGuard? guard = null)
    {
        ArgumentNullException.ThrowIfNull(entries);
        return _appender.AppendAsync(new PendingAppend(entries, leaderEpoch, origin, _log.Options.ContinuesInline) { Guard = guard });
    }

    public async ValueTask<LogAppendResult> EndTransactionAsync(LogMarker marker, int leaderEpoch)
    {
        PendingAppend append = marker.ToAppend(leaderEpoch, _log.NowMs, _log.Options.ContinuesInline);
        return (await _appender.AppendAsync(append).ConfigureAwait(false))[0];
    }

    public ValueTask<VerificationGuard?> BeginVerificationAsync(
        long producerId, short producerEpoch, int sequence, bool beginsAtZero) =>
        new(_operations.RunAsync(() => Task.FromResult(
            _producers.NeedsNoVerification(producerId, producerEpoch)
                ? null
                : _producers.Verifications.Begin(producerId, producerEpoch, sequence, beginsAtZero, _log.NowMs))));

    public ValueTask<LogAbortedTransaction[]> FindAbortedAsync(long from, long to) => new(_rows.FindAborted(from, to));

    public ValueTask<LogReadResult> ReadAsync(
        long offset, int maxBytes, bool minOneBatch, LogReadLimit upTo = LogReadLimit.HighWatermark, LogReadLease? lease = null) =>
        _reader.ReadAsync(offset, maxBytes, minOneBatch, upTo == LogReadLimit.LastStable ? _rows.LastStableOffset : long.MaxValue);

    public ValueTask<bool> WaitForAsync(
        long offset, TimeSpan timeout, CancellationToken cancellationToken = default, LogReadLimit upTo = LogReadLimit.HighWatermark) =>
        _log.WaitersOf(upTo).WaitAsync(this, offset, timeout, cancellationToken);

    public ValueTask<LogTimestamp?> FindByTimestampAsync(long timestamp) => _reader.FindByTimestampAsync(timestamp);

    public ValueTask<LogTimestamp?> FindMaxTimestampAsync() => _reader.FindMaxTimestampAsync();

    public LogEpochEnd EpochEnd(int leaderEpoch) => _rows.EpochEnd(leaderEpoch);

    /// <exception cref="LogException">This log does not lead, or another leader was faster; then nothing has changed.</exception>
    public ValueTask TruncateToAsync(long offset)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        return new ValueTask(_operations.RunAsync(() => _truncation.TruncateToAsync(offset)));
    }

    /// <summary>Nothing to do: the high watermark is the end of what is stored.</summary>
    public void AdvanceHighWatermark(long offset, long logStartOffset = -1)
    {
    }

    /// <summary>Claims the epoch in the store, which fences the leaders of earlier ones.</summary>
    /// <inheritdoc/>
    public async ValueTask PrepareAsync(int epoch, long truncateTo, long restartAt, bool renewLogId)
    {
        if (truncateTo >= 0 || restartAt >= 0 || renewLogId)
            throw new InvalidOperationException($"The log of {Partition} is one copy, which is not cut to equal another.");

        if (await _operations.RunAsync(() => _leadership.ClaimAsync(epoch)).ConfigureAwait(false) is { } fenced)
            throw new LogException(fenced, error: ErrorCode.FencedLeaderEpoch);
    }

    public ValueTask<LogDeleteResult> DeleteRecordsAsync(long beforeOffset) =>
        new(_operations.RunAsync(() => _retention.DeleteRecordsAsync(beforeOffset)));

    public void Reconfigure(TopicConfig config) => _log.Config = config;

    public bool FailIfDamaged() => false;

    public ValueTask<LogMaintenanceResult> MaintainAsync(CancellationToken cancellationToken = default) =>
        _log.MaintainAsync(
            () => _retention.ApplyAsync(cancellationToken), () => _cleaner.CleanAsync(cancellationToken), cancellationToken);

    public ValueTask<LogProducer[]> DescribeProducersAsync() => new(_operations.RunAsync(() => Task.FromResult(_producers.Describe())));

    /// <summary>Nothing to do: what is acknowledged is in the store.</summary>
    public ValueTask FlushAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        if (_log.TryClose())
        {
            await _operations.RunAnywayAsync(async () =>
                _log.Failure is null && _leadership.NeedsCheckpoint && await _leadership.TryCheckpointAsync().ConfigureAwait(false))
                .ConfigureAwait(false);
            _log.CloseWaiters();
        }
    }

    public async ValueTask DeleteAsync()
    {
        _log.TryClose();
        await _operations.RunAnywayAsync(DeleteRowsAsync).ConfigureAwait(false);
        _log.CloseWaiters();
    }

    private async Task<bool> DeleteRowsAsync()
    {
        if (await _leadership.IsAbsentAsync().ConfigureAwait(false))
            return true;

        // Every leader finds an epoch above its own; and the head tells what the last leader left.
        if (await _leadership.ClaimAsync(RowLeadership.DeletedEpoch).ConfigureAwait(false) is { } refused)
            throw new LogException(refused);

        _rows.AdvanceStart(_rows.NextOffset);
        await _leadership.TryCheckpointAndCollectAsync().ConfigureAwait(false);
        _log.ThrowIfUnusable(isClosed: false);
        return await _leadership.DeleteHeadsAsync().ConfigureAwait(false);
    }
}
