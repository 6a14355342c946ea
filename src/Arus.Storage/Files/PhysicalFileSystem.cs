using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Arus.Storage;

/// <summary>The machine's file system.</summary>
public sealed class PhysicalFileSystem : ILogFileSystem
{
    public static PhysicalFileSystem Instance { get; } = new();

    public ILogFile Open(string path, bool create) =>
        new PhysicalFile(File.OpenHandle(
            path, create ? FileMode.OpenOrCreate : FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete,
            FileOptions.SequentialScan), path);

    public LogFileInfo? GetInfo(string path) =>
        new FileInfo(path) is { Exists: true } file ? new LogFileInfo(file.Length, file.LastWriteTimeUtc) : null;

    public bool DirectoryExists(string path) => Directory.Exists(path);

    public IReadOnlyList<string> ListFiles(string directory) =>
        Directory.Exists(directory) ? [.. Directory.EnumerateFiles(directory).Select(path => Path.GetFileName(path))] : [];

    public IReadOnlyList<string> ListDirectories(string directory) =>
        Directory.Exists(directory) ? [.. Directory.EnumerateDirectories(directory).Select(path => Path.GetFileName(path))] : [];

    public void CreateDirectory(string directory) => Directory.CreateDirectory(directory);

    public void DeleteFile(string path)
    {
        if (File.Exists(path))
            File.Delete(path);
    }

    public void RenameFile(string path, string newPath) => File.Move(path, newPath, overwrite: true);

    public void RenameDirectory(string path, string newPath) => Directory.Move(path, newPath);

    public void DeleteDirectory(string path)
    {
        if (Directory.Exists(path))
            Directory.Delete(path, recursive: true);
    }

    public void SyncDirectory(string directory) => StableStorage.FlushDirectory(directory);

    public IDisposable LockDirectory(string directory) =>
        File.OpenHandle(Path.Combine(directory, ".lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);

    [DllImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    private static extern int NativeAllocate(SafeFileHandle file, int mode, long offset, long length);

    private sealed class PhysicalFile(SafeFileHandle handle, string path) : ILogFile
    {
        public long Length => RandomAccess.GetLength(handle);

        public void Preallocate(long bytes)
        {
            const int KeepSize = 1; // FALLOC_FL_KEEP_SIZE
            const int NoSpace = 28; // ENOSPC; other errors say that the file system has no such call.
            if (bytes > 0 && OperatingSystem.IsLinux() && NativeAllocate(handle, KeepSize, 0, bytes) != 0
                && Marshal.GetLastPInvokeError() == NoSpace)
            {
                throw new IOException($"There is no room on disk for the {bytes} bytes of {path} (preallocate=true).");
            }
        }

        public int Read(long position, Span<byte> buffer)
        {
            int total = 0;
            while (total < buffer.Length)
            {
                int read = RandomAccess.Read(handle, buffer[total..], position + total);
                if (read == 0)
                    break;

                total += read;
            }

            return total;
        }

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> buffers)
        {
            if (buffers.Count == 1)
                RandomAccess.Write(handle, buffers[0].Span, position);
            else
                RandomAccess.Write(handle, buffers, position);
        }

        public void SetLength(long length) => RandomAccess.SetLength(handle, length);

        public void Flush() => StableStorage.Flush(handle, path);

        public void Dispose() => handle.Dispose();
    }
}
