namespace Arus.Storage;

/// <summary>What the logs of one silo share.</summary>
public sealed record LogProviderOptions
{
    /// <summary>Holds a directory for each partition. Used by one process at a time.</summary>
    public required string Directory { get; init; }

    /// <summary>When appends are acknowledged: <c>arus.flush</c>.</summary>
    public FlushPolicy Flush { get; init; } = FlushPolicy.Always;

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Threads that write and fsync; a partition stays with one of them. As many again read what is not in memory.</summary>
    public int IoThreads { get; init; } = 4;

    /// <summary>Bytes of recent batches that all logs together keep in memory.</summary>
    public long CacheBytes { get; init; } = 128L << 20;

    /// <summary>Segment files held open at once by all logs together.</summary>
    public int MaxOpenFiles { get; init; } = 512;

    /// <summary>Bytes that one log takes in before they are written; beyond it, appends wait.</summary>
    public int MaxPendingBytes { get; init; } = 32 << 20;

    /// <summary>Bytes for the keys that one compaction pass tells apart; a larger log is compacted in several passes.</summary>
    public int CompactionMapBytes { get; init; } = 32 << 20;

    /// <summary>
    /// Names the machine's present run (on Linux <c>/proc/sys/kernel/random/boot_id</c>): a process that was killed finds in the machine's
    /// memory what it wrote, one of a later run may not. Empty when it is not known: every run is taken for another.
    /// </summary>
    public Guid BootId { get; init; }

    /// <summary>Draws the ids of replicated logs; needed to open one.</summary>
    public Func<Guid>? NewLogId { get; init; }

    /// <summary>How often the high watermarks that moved are written: <c>replica.high.watermark.checkpoint.interval.ms</c>.</summary>
    public TimeSpan HighWatermarkCheckpointInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Told what recovery cut or rebuilt, and what failed; called on any thread, must not throw.</summary>
    public Action<LogEvent>? OnEvent { get; init; }
}

public enum LogEventKind
{
    /// <summary>Bytes at the end of a segment that are no whole, valid batch were cut.</summary>
    TailTruncated = 0,

    /// <summary>An index, checkpoint or snapshot was missing or damaged, and was made anew from the segments.</summary>
    Rebuilt = 1,

    /// <summary>A directory or file that belongs to no log was set aside or removed.</summary>
    SetAside = 2,

    /// <summary>A log failed and serves no more.</summary>
    Failed = 3,

    /// <summary>The log ends before its recovery point: records that were on stable storage are gone.</summary>
    TailMissing = 4,

    /// <summary>Bytes that are no valid batch were set aside, and the records in them are lost; or a reader came upon such bytes.</summary>
    Damaged = 5,

    /// <summary>A segment in the middle of the log is missing.</summary>
    RecordsMissing = 6,

    /// <summary>Acknowledged records of a replicated log may be missing, so that it got another id.</summary>
    Renewed = 7,
}

/// <param name="File">The file or directory.</param>
/// <param name="FromOffset">
/// Of <see cref="LogEventKind.TailTruncated"/> the log end after the cut, of <see cref="LogEventKind.TailMissing"/> the first offset that
/// is lost, as of <see cref="LogEventKind.Damaged"/> and <see cref="LogEventKind.RecordsMissing"/>; otherwise -1.
/// </param>
/// <param name="Bytes">Of <see cref="LogEventKind.TailTruncated"/> and <see cref="LogEventKind.Damaged"/>: how many; otherwise 0.</param>
/// <param name="Message">One sentence for a log line.</param>
public sealed record LogEvent(
    LogEventKind Kind, TopicPartition Partition, string File, long FromOffset, long Bytes, string Message, Exception? Error = null);
