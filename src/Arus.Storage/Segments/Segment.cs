using System.Diagnostics;
using System.Globalization;
using Arus.Protocol;

namespace Arus.Storage;

/// <summary>
/// One segment: a file of batches named by the offset of the first. Guarded by the <see cref="SegmentList"/>'s lock, once it is in the
/// list, and describes committed bytes only; a group commit under way has written more, which is not read yet.
/// </summary>
internal sealed class Segment(string directory, long baseOffset, OpenFiles files, SegmentIndex? index) : IOffsetRange
{
    public const string LogSuffix = ".log";
    public const string IndexSuffix = ".index";
    public const string SnapshotSuffix = ".snapshot";
    public const string DeletedSuffix = ".deleted";

    public long BaseOffset { get; } = baseOffset;

    public SharedFile File { get; } = new(files, PathOf(directory, baseOffset, LogSuffix));

    public string IndexPath { get; } = PathOf(directory, baseOffset, IndexSuffix);

    /// <summary>Null for a full segment whose index was not needed yet.</summary>
    public SegmentIndex? Index { get; set; } = index;

    /// <summary>What its index file says of the whole segment.</summary>
    public SegmentIndexHeader Header { get; set; } =
        new() { NextOffset = baseOffset, MaxTimestamp = RecordBatchHeader.NoTimestamp, FirstAppendMs = -1, LastAppendMs = -1 };

    public int Size => Header.Size;

    /// <summary>The offset after the last batch; the base offset while there is none.</summary>
    public long NextOffset => Header.NextOffset;

    /// <summary>Unix milliseconds; -1 while there is no batch.</summary>
    public long MaxTimestamp => Header.MaxTimestamp;

    /// <summary>When the first batch was appended, Unix milliseconds; after a restart, its own timestamp. -1 while there is none.</summary>
    public long FirstAppendMs => Header.FirstAppendMs;

    /// <summary>The greatest timestamp of its first batch, Unix milliseconds; null while that is not known. Not stored.</summary>
    public long? FirstTimestamp { get; set; }

    /// <summary>The greatest timestamp of its records; without any, the time of the last append. Unix milliseconds.</summary>
    public long LatestMs => MaxTimestamp >= 0 ? MaxTimestamp : Header.LastAppendMs;

    /// <summary>Whether all of it is on stable storage; only a full segment can be.</summary>
    public bool Synced { get; set; }

    /// <summary>Whether bytes were written since the last <see cref="Flush"/>. Used on the I/O thread only.</summary>
    public bool IsDirty { get; set; }

    public static string PathOf(string directory, long offset, string suffix) =>
        Path.Combine(directory, offset.ToString("D20", CultureInfo.InvariantCulture) + suffix);

    public static bool TryParse(string name, string suffix, out long offset)
    {
        offset = 0;
        return name.Length == 20 + suffix.Length && name.EndsWith(suffix, StringComparison.Ordinal)
            && long.TryParse(name.AsSpan(0, 20), NumberStyles.None, CultureInfo.InvariantCulture, out offset);
    }

    /// <summary>The offsets in the names of a directory's files that end in a suffix, in no order.</summary>
    public static IEnumerable<long> ListOffsets(ILogFileSystem fileSystem, string directory, string suffix)
    {
        foreach (string name in fileSystem.ListFiles(directory))
        {
            if (TryParse(name, suffix, out long offset))
                yield return offset;
        }
    }

    /// <summary>Adds a batch that was written at <see cref="Size"/>.</summary>
    /// <param name="aborted">The transaction that it aborts; null for none.</param>
    public void Add(
        long batchBaseOffset, long batchNextOffset, int length, long maxTimestamp, long nowMs, LogAbortedTransaction? aborted = null)
    {
        Debug.Assert(batchBaseOffset >= NextOffset && batchNextOffset > batchBaseOffset && length > 0, "Batches are in offset order.");
        Index!.Add(checked((int)(batchBaseOffset - BaseOffset)), Size, MaxTimestamp);
        FirstTimestamp = Size == 0 ? maxTimestamp : FirstTimestamp;
        if (maxTimestamp > MaxTimestamp)
            (Header.MaxTimestamp, Header.MaxTimestampPosition) = (maxTimestamp, Size);

        Header.FirstAppendMs = FirstAppendMs < 0 ? nowMs : FirstAppendMs;
        Header.LastAppendMs = nowMs;
        Header.Size += length;
        Header.NextOffset = batchNextOffset;
        if (aborted is not null)
            Add(aborted);
    }

    /// <summary>Adds a batch that was read back from the file.</summary>
    public void Add(RecordBatchHeader header, long nowMs, LogAbortedTransaction? aborted = null) =>
        Add(header.BaseOffset, header.NextOffset, header.SizeInBytes, header.MaxTimestamp, Math.Min(nowMs, header.MaxTimestamp), aborted);

    /// <summary>Adds a transaction whose abort marker is in the segment.</summary>
    public void Add(LogAbortedTransaction aborted)
    {
        Index!.Add(aborted);
        Header.LowestAborted = Header.AbortedCount++ == 0 ? aborted.FirstOffset : Math.Min(Header.LowestAborted, aborted.FirstOffset);
    }

    /// <summary>Whether a transaction that was aborted in the segment may have records between two offsets.</summary>
    public bool MayHaveAborted(long from, long to) => NextOffset > from && Header.AbortedCount > 0 && Header.LowestAborted < to;

    /// <summary>Syncs what was written. Called on the I/O thread.</summary>
    public void Flush()
    {
        File.Flush();
        IsDirty = false;
    }

    /// <summary>A segment of the same file of which nothing is known yet.</summary>
    public Segment Empty(TopicConfig config) =>
        new(Path.GetDirectoryName(File.Path)!, BaseOffset, File.Files, SegmentIndex.For(config));

    /// <summary>Reads the index of a full segment. Without a usable file it is empty, which means reading from the start.</summary>
    public SegmentIndex LoadIndex(LogContext log)
    {
        Segment loaded = Empty(log.Config);
        IndexFile.TryLoad(log.Shared.FileSystem, loaded, log.Config.IndexIntervalBytes, Size, out _);
        return File.Index = loaded.Index!;
    }

    /// <summary>The transactions that were aborted in the segment, of which it has some, from its index file.</summary>
    /// <exception cref="LogException">The index file is not what it was.</exception>
    public SegmentIndex LoadAborted(LogContext log)
    {
        SegmentIndex index = LoadIndex(log);
        if (index.Aborted.Length == Header.AbortedCount)
            return index;

        if (File.Retired)
            throw new FileRetiredException(File.Path);

        throw new LogException(
            $"{IndexPath} is damaged, so that it is not known which transactions of its segment were aborted. Restart the broker: it makes "
            + "the file anew.");
    }

    /// <summary>
    /// Takes the segment's files out of the log. A large file takes time to delete, so it is only renamed here; what a crash leaves of
    /// it is removed when the log is opened.
    /// </summary>
    public void Discard(LogContext log)
    {
        File.Retire();
        string doomed = File.Path + DeletedSuffix;
        log.Shared.FileSystem.RenameFile(File.Path, doomed);
        log.Shared.FileSystem.DeleteFile(IndexPath);
        log.Shared.DeleteLater(
            log.Partition, doomed, static (fileSystem, path) => fileSystem.DeleteFile(path), log.Config.FileDeleteDelay);
    }

    public override string ToString() => File.Path;
}
