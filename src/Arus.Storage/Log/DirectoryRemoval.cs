namespace Arus.Storage;

/// <summary>Removes a log's directory: renamed at once, so that its name is free, and deleted by and by.</summary>
internal static class DirectoryRemoval
{
    public const string Suffix = ".deleted";

    public static void Remove(LogShared shared, string directory)
    {
        ILogFileSystem fileSystem = shared.FileSystem;
        if (!fileSystem.DirectoryExists(directory))
        {
            return;
        }

        string doomed = NewName(fileSystem, directory, Suffix);
        fileSystem.RenameDirectory(directory, doomed);
        fileSystem.SyncDirectory(Path.GetDirectoryName(directory)!);
        shared.Scheduler.Queue(LogLane.Clean, 0, new Work(shared, doomed));
    }

    /// <summary>Deletes what an earlier process renamed and had no time to delete.</summary>
    public static void RemoveLeftovers(LogShared shared)
    {
        foreach (string name in shared.FileSystem.ListDirectories(shared.Options.Directory))
        {
            if (name.EndsWith(Suffix, StringComparison.Ordinal))
            {
                shared.Scheduler.Queue(LogLane.Clean, 0, new Work(shared, Path.Combine(shared.Options.Directory, name)));
            }
        }
    }

    /// <summary>A name that no directory bears: <c>directory.1.deleted</c>, <c>directory.2.deleted</c>, …</summary>
    public static string NewName(ILogFileSystem fileSystem, string directory, string suffix)
    {
        for (int number = 1; ; number++)
        {
            string name = FormattableString.Invariant($"{directory}.{number}{suffix}");
            if (!fileSystem.DirectoryExists(name))
            {
                return name;
            }
        }
    }

    private sealed class Work(LogShared shared, string directory) : ILogWork
    {
        public void Execute()
        {
            try
            {
                shared.FileSystem.DeleteDirectory(directory);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                shared.Report(
                    LogEventKind.Failed, default, directory, $"{directory} cannot be deleted and takes up space: {error.Message}", error: error);
            }
        }
    }
}
