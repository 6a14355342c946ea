namespace Arus.Storage;

/// <summary>
/// The disk, as far as the log needs it. Paths are joined with <see cref="Path.Combine(string, string)"/>. Calls block; they are made
/// on I/O threads only. Errors are <see cref="IOException"/>s that name the path.
/// </summary>
/// <remarks>
/// What was written is safe from a crash of the machine after <see cref="ILogFile.Flush"/>; that a file exists, is gone or has its
/// name, after <see cref="SyncDirectory"/> of its directory.
/// </remarks>
public interface ILogFileSystem
{
    /// <summary>Opens a file for reading and writing.</summary>
    /// <param name="create">Whether to create the file when there is none; otherwise that is a <see cref="FileNotFoundException"/>.</param>
    ILogFile Open(string path, bool create);

    /// <summary>Null when there is no such file.</summary>
    LogFileInfo? GetInfo(string path);

    bool DirectoryExists(string path);

    /// <summary>The names (not paths) of the files in a directory, in no order; none when there is no such directory.</summary>
    IReadOnlyList<string> ListFiles(string directory);

    /// <summary>The names (not paths) of the directories in a directory, in no order; none when there is no such directory.</summary>
    IReadOnlyList<string> ListDirectories(string directory);

    /// <summary>Creates a directory, its parents included, unless it exists.</summary>
    void CreateDirectory(string directory);

    /// <summary>Deletes a file; no error when there is none.</summary>
    void DeleteFile(string path);

    /// <summary>Renames a file in one step, replacing what bears the new name.</summary>
    void RenameFile(string path, string newPath);

    void RenameDirectory(string path, string newPath);

    /// <summary>Deletes a directory and all in it; no error when there is none.</summary>
    void DeleteDirectory(string path);

    /// <summary>Makes the creation, renaming and deletion of a directory's entries durable.</summary>
    void SyncDirectory(string directory);

    /// <summary>Keeps other processes out of a directory until the answer is disposed.</summary>
    /// <exception cref="IOException">Another process has it.</exception>
    IDisposable LockDirectory(string directory);
}

public readonly record struct LogFileInfo(long Length, DateTimeOffset LastWritten);

/// <summary>An open file. Reads may run beside one writer.</summary>
public interface ILogFile : IDisposable
{
    long Length { get; }

    /// <summary>Reads until the buffer is full or the file ends; answers the number of bytes read.</summary>
    /// <exception cref="ObjectDisposedException">The file was closed, perhaps during the read.</exception>
    int Read(long position, Span<byte> buffer);

    /// <summary>Writes the buffers one after the other from <paramref name="position"/> on.</summary>
    void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> buffers);

    void SetLength(long length);

    /// <summary>
    /// Reserves room on disk for so many bytes, 0 for none, without changing the length, where the file system can;
    /// <see cref="SetLength"/> gives back what lies behind the end.
    /// </summary>
    /// <exception cref="IOException">There is no room.</exception>
    void Preallocate(long bytes)
    {
    }

    /// <summary>fsync.</summary>
    /// <exception cref="IOException">
    /// What was written since the last flush may be lost. The system may show it to readers nevertheless, and a later flush succeed
    /// without writing it, so that it must be written again.
    /// </exception>
    void Flush();
}

/// <summary>What is made of a file system's operations.</summary>
public static class LogFileSystemExtensions
{
    /// <summary>The new contents of a file bear its name and this until they take its place.</summary>
    public const string TemporarySuffix = ".tmp";

    /// <summary>Replaces a file, or makes one, in one step: a crash leaves the old contents or the new. One caller at a time.</summary>
    /// <param name="durable">Whether it is on stable storage then; otherwise a crash may leave it old, missing or damaged.</param>
    /// <exception cref="IOException">
    /// The file is as it was; or, if the last step failed, new for those who read it and not yet durable.
    /// </exception>
    public static void ReplaceFile(this ILogFileSystem fileSystem, string path, ReadOnlyMemory<byte> content, bool durable)
    {
        string temporary = path + TemporarySuffix;
        fileSystem.DeleteFile(temporary);
        try
        {
            using ILogFile file = fileSystem.Open(temporary, create: true);
            file.Write(0, [content]);
            if (durable)
                file.Flush();
        }
        catch (IOException)
        {
            fileSystem.DeleteFile(temporary); // What was written of it would keep a full disk full.
            throw;
        }

        fileSystem.RenameFile(temporary, path);
        if (durable)
            fileSystem.SyncDirectory(Path.GetDirectoryName(path)!);
    }
}
