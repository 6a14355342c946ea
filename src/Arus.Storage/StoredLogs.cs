using System.Globalization;

namespace Arus.Storage;

/// <summary>Finds the logs that a directory holds, open or not.</summary>
public static class StoredLogs
{
    /// <summary>The logs of a <see cref="LogProviderOptions.Directory"/> that have records. Enumerating it reads directories.</summary>
    /// <param name="fileSystem">Null for the machine's.</param>
    /// <exception cref="IOException">The directory cannot be read.</exception>
    public static IEnumerable<StoredLog> List(string directory, ILogFileSystem? fileSystem = null)
    {
        fileSystem ??= PhysicalFileSystem.Instance;
        foreach (string name in fileSystem.ListDirectories(directory))
        {
            if (TryParse(name, out TopicPartition partition) && OldestWrite(fileSystem, Path.Combine(directory, name)) is { } oldest)
                yield return new StoredLog(partition, oldest);
        }
    }

    private static bool TryParse(string name, out TopicPartition partition)
    {
        int dash = name.LastIndexOf('-');
        bool parsed = int.TryParse(name.AsSpan(dash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int number) && dash > 0;
        partition = parsed ? new TopicPartition(name[..dash], number) : default;
        return parsed;
    }

    private static DateTimeOffset? OldestWrite(ILogFileSystem fileSystem, string directory)
    {
        try
        {
            return fileSystem.ListFiles(directory)
                .Where(name => Segment.TryParse(name, Segment.LogSuffix, out _))
                .Select(name => fileSystem.GetInfo(Path.Combine(directory, name)))
                .Where(segment => segment is { Length: > 0 })
                .Min(segment => segment?.LastWritten);
        }
        catch (DirectoryNotFoundException)
        {
            return null; // The log was deleted since the directory was listed.
        }
    }
}

/// <param name="OldestSegmentWritten">When the segment written longest ago was last written: no record in it came later.</param>
public readonly record struct StoredLog(TopicPartition Partition, DateTimeOffset OldestSegmentWritten);
