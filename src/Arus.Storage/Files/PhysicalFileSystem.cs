using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Arus.Storage;

/// <summary>The machine's file system.</summary>
public sealed class PhysicalFileSystem : ILogFileSystem
{
    private const int ReadOnly = 0;

    public static PhysicalFileSystem Instance { get; } = new();

    public ILogFile Open(string path, bool create) =>
        new PhysicalFile(
            path,
            File.OpenHandle(
                path, create ? FileMode.OpenOrCreate : FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete,
                FileOptions.SequentialScan));

    public bool FileExists(string path) => File.Exists(path);

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

    public void SyncDirectory(string directory)
    {
        if (OperatingSystem.IsWindows())
        {
            return; // NTFS journals directory entries; a directory cannot be flushed through a plain handle.
        }

        int descriptor = NativeOpen(directory, ReadOnly);
        if (descriptor < 0)
            throw new IOException($"Cannot open the directory {directory} to flush it: {Marshal.GetLastPInvokeErrorMessage()}.");

        try
        {
            const int InvalidArgument = 22; // Some file systems do not flush directories, and say so.
            if (NativeFsync(descriptor) != 0 && Marshal.GetLastPInvokeError() != InvalidArgument)
                throw new IOException($"Cannot flush the directory {directory}: {Marshal.GetLastPInvokeErrorMessage()}.");
        }
        finally
        {
            _ = NativeClose(descriptor);
        }
    }

    public IDisposable LockDirectory(string directory) =>
        File.OpenHandle(Path.Combine(directory, ".lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);

    [DllImport(
        "libc", EntryPoint = "open", SetLastError = true, CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    private static extern int NativeOpen([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static extern int NativeFsync(int descriptor);

    [DllImport("libc", EntryPoint = "close", SetLastError = true)]
    private static extern int NativeClose(int descriptor);

    private sealed class PhysicalFile(string path, SafeFileHandle handle) : ILogFile
    {
        public long Length => RandomAccess.GetLength(handle);

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

        public void Write(long position, ReadOnlyMemory<byte> bytes) => RandomAccess.Write(handle, bytes.Span, position);

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> buffers)
        {
            if (buffers.Count == 1)
                RandomAccess.Write(handle, buffers[0].Span, position);
            else
                RandomAccess.Write(handle, buffers, position);
        }

        public void SetLength(long length) => RandomAccess.SetLength(handle, length);

        public void Flush() => RandomAccess.FlushToDisk(handle);

        public void Dispose() => handle.Dispose();

        public override string ToString() => path;
    }
}
