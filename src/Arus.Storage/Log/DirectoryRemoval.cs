namespace Arus.Storage;

/// <summary>Removes a log's directory: it is renamed at once, so that its name is free, and deleted in the background.</summary>
internal static class DirectoryRemoval
{
    public const string Suffix = ".deleted";

    public static void Remove(LogShared shared, string directory)
    {
        ILogFileSystem fileSystem = shared.FileSystem;
        if (!fileSystem.DirectoryExists(directory))
            return;

        string doomed = NewName(fileSystem, directory, Suffix);
        fileSystem.RenameDirectory(directory, doomed);
        fileSystem.SyncDirectory(Path.GetDirectoryName(directory)!);
        DeleteLater(shared, doomed);
    }

    /// <summary>Deletes what an earlier process renamed and had no time to delete.</summary>
    public static void RemoveLeftovers(LogShared shared)
    {
        foreach (string name in shared.FileSystem.ListDirectories(shared.Options.Directory))
        {
            if (name.EndsWith(Suffix, StringComparison.Ordinal))
                DeleteLater(shared, Path.Combine(shared.Options.Directory, name));
        }
    }

    /// <summary>A name that no directory has yet: <c>directory.1.deleted</c>, <c>directory.2.deleted</c>, and so on.</summary>
    public static string NewName(ILogFileSystem fileSystem, string directory, string suffix)
    {
        for (int number = 1; ; number++)
        {
            string name = FormattableString.Invariant($"{directory}.{number}{suffix}");
            if (!fileSystem.DirectoryExists(name))
                return name;
        }
    }

    private static void DeleteLater(LogShared shared, string directory) =>
        shared.DeleteLater(default, directory, static (fileSystem, path) => fileSystem.DeleteDirectory(path));
}
