using Arus.Protocol;

namespace Arus.Storage;

/// <summary>What <see cref="ReplicaFile"/> says of a log, or said anew.</summary>
/// <param name="Offsets">As they stand in the file; null when those are damaged.</param>
/// <param name="HighWatermark">Where it is when the log is opened, if the log reaches as far.</param>
internal sealed record LoadedReplica(LogReplica Front, LogReplicaOffsets? Offsets, long HighWatermark);

/// <summary>
/// Decides which replica a log is that is being opened: the one that it was, or, when acknowledged records may be missing, another.
/// </summary>
internal sealed class ReplicaLoader
{
    private readonly LogShared _shared;
    private readonly TopicPartition _partition;
    private readonly string _directory;
    private readonly LogReplica? _stored;
    private readonly LogReplicaOffsets? _offsets;

    /// <summary>Why the file cannot be read; null when it could be, or there is none.</summary>
    private readonly string? _damage;

    /// <summary>Reads the file; and clears the log if that was under way when the broker went down.</summary>
    public ReplicaLoader(LogShared shared, TopicPartition partition, string directory)
    {
        (_shared, _partition, _directory) = (shared, partition, directory);
        _stored = ReplicaFile.Read(shared.FileSystem, directory, out _offsets, out _damage);
        if (!ReplicaFile.Exists(shared.FileSystem, directory))
            _damage = null;

        if (_stored is { RestartAt: >= 0 })
            Clear();
    }

    /// <summary>Whether the log was being cut, so that it may end before its recovery point.</summary>
    public bool IsCutUnderWay => _stored is { TruncateTo: >= 0 } or { RestartAt: >= 0 };

    /// <summary>Settles the log's id, durably, once its records are known.</summary>
    public LoadedReplica Settle(LoadedLog loaded, Guid topicId)
    {
        bool isKnown = _stored is not null || _damage is not null;
        bool hadOneCopy = !isKnown && loaded.Segments.Count > 0;
        long logStart = Math.Max(loaded.LogStartOffset, Math.Min(_offsets?.LogStartOffset ?? 0, loaded.LogEndOffset));
        if (logStart > loaded.LogStartOffset)
            loaded.Epochs.AdvanceStart(logStart);

        loaded.LogStartOffset = logStart;
        long highWatermark = hadOneCopy ? loaded.LogEndOffset : Math.Clamp(_offsets?.HighWatermark ?? 0, logStart, loaded.LogEndOffset);
        string? reason = isKnown ? FindReason(loaded) : null;
        if (_stored is not null && reason is null)
        {
            // A process that was killed may have replaced the file and not synced its name. What is appended now relies on the new one.
            _shared.FileSystem.SyncDirectory(_directory);
            return new LoadedReplica(_stored, _offsets, highWatermark);
        }

        var front = new LogReplica
        {
            TopicId = topicId,
            LogId = _shared.NewLogId(),
            FencedEpoch = Math.Max(_stored?.FencedEpoch ?? RecordBatchHeader.NoLeaderEpoch, loaded.Epochs.Latest),
            BootId = _shared.Options.BootId,
            IsClean = loaded.Segments.Count == 0,
            SyncsAlways = _shared.SyncAlways,
            TruncateTo = _stored?.TruncateTo ?? -1,
            RestartAt = _stored?.RestartAt ?? -1,
        };
        var offsets = new LogReplicaOffsets { HighWatermark = highWatermark, LogStartOffset = logStart };
        LogDirectories.CreateDurably(_shared.FileSystem, _directory);
        ReplicaFile.Write(_shared.FileSystem, _directory, front, offsets);
        if (reason is not null)
            ReportRenewal(reason);

        return new LoadedReplica(front, offsets, highWatermark);
    }

    /// <summary>Why acknowledged records may be missing; null when none can be.</summary>
    private string? FindReason(LoadedLog loaded)
    {
        if (_stored is not { } stored)
            return $"{ReplicaFile.PathIn(_directory)} cannot be read ({_damage})";

        Guid bootId = _shared.Options.BootId;
        bool isOtherBoot = bootId == Guid.Empty || stored.BootId != bootId;
        if (isOtherBoot && !stored.IsClean && !stored.SyncsAlways)
            return "the machine was restarted, and what was acknowledged last may not have been on stable storage";

        // A crash of the machine may tear the last group commit, which was not acknowledged if it had to be synced first.
        long promised = Math.Max(_offsets?.HighWatermark ?? 0, loaded.Checkpoint?.RecoveryOffset ?? 0);
        if (loaded.DamagedFrom is { } damaged && !(isOtherBoot && stored.SyncsAlways && damaged >= promised))
            return $"its records from offset {damaged} on were damaged or missing";

        return IsCutUnderWay || (!loaded.IsTailMissing && loaded.LogEndOffset >= (_offsets?.HighWatermark ?? 0))
            ? null
            : $"it ends at offset {loaded.LogEndOffset}, and had more records";
    }

    private void ReportRenewal(string reason) =>
        _shared.Report(
            LogEventKind.Renewed, _partition, _directory,
            $"The log of {_partition} is a new replica: {reason}. It is in sync again when it has caught up with the partition's leader.");

    /// <summary>Deletes what is left of the records.</summary>
    private void Clear()
    {
        ILogFileSystem fileSystem = _shared.FileSystem;
        string[] suffixes = [Segment.LogSuffix, Segment.IndexSuffix, Segment.SnapshotSuffix, LogCheckpointFile.Name];
        foreach (string name in fileSystem.ListFiles(_directory))
        {
            if (Array.Exists(suffixes, suffix => name.EndsWith(suffix, StringComparison.Ordinal)))
                fileSystem.DeleteFile(Path.Combine(_directory, name));
        }
    }
}
