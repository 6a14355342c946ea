using System.Collections.Concurrent;

namespace Arus.Storage;

/// <summary>
/// The logs whose disk failed since they were last opened. What lies behind their recovery point can be read, from the system's page
/// cache, and may be on no disk; a flush would succeed and write nothing. The next opening writes it again. Thread-safe.
/// </summary>
internal sealed class UnsyncedLogs(ILogFileSystem fileSystem)
{
    /// <summary>A file in the log's directory that tells the next process. It need not be durable: the page cache is not, either.</summary>
    private const string MarkerName = "log.unsynced";

    private readonly ConcurrentDictionary<string, bool> _directories = new(StringComparer.Ordinal);

    public void Add(string directory)
    {
        _directories[directory] = true;
        try
        {
            if (fileSystem.DirectoryExists(directory))
                fileSystem.Open(Path.Combine(directory, MarkerName), create: true).Dispose();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // A disk that takes no file any more; this process knows nevertheless.
        }
    }

    public bool Contains(string directory) =>
        _directories.ContainsKey(directory) || fileSystem.GetInfo(Path.Combine(directory, MarkerName)) is not null;

    /// <summary>All that can be read of a log is on stable storage again, or the log is gone.</summary>
    public void Remove(string directory)
    {
        fileSystem.DeleteFile(Path.Combine(directory, MarkerName));
        _directories.TryRemove(directory, out _);
    }
}
