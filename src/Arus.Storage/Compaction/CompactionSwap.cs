using System.Globalization;

namespace Arus.Storage;

/// <summary>
/// Puts a cleaned segment in the place of those it was made from, so that a crash at any point leaves either the old ones or the
/// new one: the cleaned file is synced, then renamed to <c>&lt;first&gt;-&lt;next&gt;.swap</c>, which decides; then the old files
/// go and it gets its final name. Opening a log finishes what was decided.
/// </summary>
internal static class CompactionSwap
{
    public const string CleanedSuffix = ".cleaned";
    public const string SwapSuffix = ".swap";

    public static string SwapPath(string directory, long baseOffset, long nextOffset) =>
        Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"{baseOffset:D20}-{nextOffset:D20}{SwapSuffix}"));

    /// <summary>Finishes the swaps that were decided before a crash.</summary>
    public static void Finish(LogShared shared, TopicPartition partition, string directory)
    {
        foreach (string name in shared.FileSystem.ListFiles(directory))
        {
            if (TryParse(name, out long baseOffset, out long nextOffset))
            {
                Complete(shared.FileSystem, directory, baseOffset, nextOffset);
                shared.Report(
                    LogEventKind.Rebuilt, partition, Path.Combine(directory, name),
                    $"The compaction of {directory}, offsets {baseOffset} to {nextOffset}, was finished.");
            }
        }
    }

    /// <summary>Removes the files that the swap file replaces, and gives it its name.</summary>
    public static void Complete(ILogFileSystem fileSystem, string directory, long baseOffset, long nextOffset)
    {
        foreach (string name in fileSystem.ListFiles(directory))
        {
            if ((Segment.TryParse(name, Segment.LogSuffix, out long offset) || Segment.TryParse(name, Segment.IndexSuffix, out offset))
                && offset >= baseOffset && offset < nextOffset)
            {
                fileSystem.DeleteFile(Path.Combine(directory, name));
            }
        }

        fileSystem.RenameFile(SwapPath(directory, baseOffset, nextOffset), Segment.PathOf(directory, baseOffset, Segment.LogSuffix));
        fileSystem.SyncDirectory(directory);
    }

    private static bool TryParse(string name, out long baseOffset, out long nextOffset)
    {
        (baseOffset, nextOffset) = (0, 0);
        return name.Length == 41 + SwapSuffix.Length && name[20] == '-' && name.EndsWith(SwapSuffix, StringComparison.Ordinal)
            && long.TryParse(name.AsSpan(0, 20), NumberStyles.None, CultureInfo.InvariantCulture, out baseOffset)
            && long.TryParse(name.AsSpan(21, 20), NumberStyles.None, CultureInfo.InvariantCulture, out nextOffset);
    }
}
