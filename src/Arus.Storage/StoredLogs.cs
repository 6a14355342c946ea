using System.Globalization;

namespace Arus.Storage;

/// <summary>Finds the logs that a directory holds, open or not.</summary>
public static class StoredLogs
{
    private const string SegmentPattern = "*.log";

    /// <summary>The logs of a <see cref="LogProviderOptions.Directory"/> that have records. Reads directories as it goes on: not for a hot path.</summary>
    /// <exception cref="IOException">The directory cannot be read.</exception>
    public static IEnumerable<StoredLog> List(string directory)
    {
        if (!Directory.Exists(directory))
        {
            yield break;
        }

        foreach (string path in Directory.EnumerateDirectories(directory))
        {
            if (TryParse(Path.GetFileName(path), out TopicPartition partition) && OldestWrite(path) is { } oldest)
            {
                yield return new StoredLog(partition, oldest);
            }
        }
    }

    private static bool TryParse(string name, out TopicPartition partition)
    {
        int dash = name.LastIndexOf('-');
        bool parsed = int.TryParse(name.AsSpan(dash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int number) && dash > 0;
        partition = parsed ? new TopicPartition(name[..dash], number) : default;
        return parsed;
    }

    private static DateTimeOffset? OldestWrite(string directory)
    {
        DateTimeOffset? oldest = null;
        try
        {
            foreach (FileInfo segment in new DirectoryInfo(directory).EnumerateFiles(SegmentPattern))
            {
                if (segment.Length > 0 && (oldest is null || segment.LastWriteTimeUtc < oldest))
                {
                    oldest = segment.LastWriteTimeUtc;
                }
            }
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            // The log was deleted meanwhile.
            return null;
        }

        return oldest;
    }
}

/// <param name="OldestSegmentWritten">When the segment that was written longest ago was last written: no record in it was appended later.</param>
public readonly record struct StoredLog(TopicPartition Partition, DateTimeOffset OldestSegmentWritten);
