using Arus.Protocol;

namespace Arus.Storage;

/// <summary>The directories of the logs of one provider: which topic one belongs to, and setting one aside.</summary>
internal sealed class LogDirectories(LogShared shared)
{
    private const string DeletedSuffix = ".deleted";

    /// <summary>In bytes, on every usual file system; names of logs are ASCII.</summary>
    private const int MaxFileName = 255;

    /// <summary>Creates a directory and its missing parents so that a crash of the machine does not undo it.</summary>
    public static void CreateDurably(ILogFileSystem fileSystem, string directory)
    {
        var missing = new Stack<string>();
        for (string? path = directory; path is not null && !fileSystem.DirectoryExists(path); path = Path.GetDirectoryName(path))
            missing.Push(path);

        while (missing.TryPop(out string? path))
        {
            fileSystem.CreateDirectory(path);
            if (Path.GetDirectoryName(path) is { } parent)
                fileSystem.SyncDirectory(parent);
        }
    }

    public string PathOf(TopicPartition partition) => Path.Combine(shared.Options.Directory, partition.ToString());

    /// <summary>Deletes what an earlier process renamed and had no time to delete.</summary>
    public void DeleteLeftovers()
    {
        foreach (string name in shared.FileSystem.ListDirectories(shared.Options.Directory))
        {
            if (name.EndsWith(DeletedSuffix, StringComparison.Ordinal))
                DeleteLater(Path.Combine(shared.Options.Directory, name));
        }
    }

    /// <summary>Removes a log's directory: it is renamed at once, so that its name is free, and deleted in the background.</summary>
    public void Delete(TopicPartition partition, Guid topicId)
    {
        string directory = PathOf(partition);
        if (FindOther(topicId, directory) is null && shared.FileSystem.DirectoryExists(directory))
        {
            DeleteLater(SetAside(directory, DeletedSuffix));
            shared.Unsynced.Remove(directory);
        }
    }

    private void DeleteLater(string directory) =>
        shared.DeleteLater(default, directory, static (fileSystem, path) => fileSystem.DeleteDirectory(path));

    /// <summary>
    /// Gives a directory a name that none has yet: <c>directory.1.deleted</c>, <c>directory.2.deleted</c>, and so on. Of a long name only
    /// as much is kept as a file name has room for.
    /// </summary>
    private string SetAside(string directory, string suffix)
    {
        ILogFileSystem fileSystem = shared.FileSystem;
        int number = 1;
        while (fileSystem.DirectoryExists(Name()))
            number++;

        fileSystem.RenameDirectory(directory, Name());
        fileSystem.SyncDirectory(shared.Options.Directory);
        return Name();

        string Name()
        {
            string end = FormattableString.Invariant($".{number}{suffix}");
            string name = Path.GetFileName(directory);
            return Path.Combine(shared.Options.Directory, name[..Math.Min(name.Length, MaxFileName - end.Length)] + end);
        }
    }

    /// <summary>The topic id that a directory names when it belongs to another topic of the same name; null when it does not.</summary>
    private Guid? FindOther(Guid topicId, string directory)
    {
        if (topicId == Guid.Empty || !shared.FileSystem.DirectoryExists(directory))
            return null;

        Guid found = LogCheckpointFile.Read(shared.FileSystem, directory, out _)?.TopicId
            ?? ReplicaFile.Read(shared.FileSystem, directory, out _, out _)?.TopicId ?? Guid.Empty;
        return found != Guid.Empty && found != topicId ? found : null;
    }

    /// <summary>Keeps the directory that an earlier topic of the same name left behind under another name.</summary>
    public void SetStrayAside(TopicPartition partition, Guid topicId)
    {
        string directory = PathOf(partition);
        if (FindOther(topicId, directory) is not { } other)
            return;

        string stray = SetAside(directory, ".stray");
        shared.Report(
            LogEventKind.SetAside, partition, directory,
            $"{directory} belongs to topic id {other}, not {topicId}; it was renamed to {Path.GetFileName(stray)}. "
            + "Delete it when its records are not needed.");
    }
}
