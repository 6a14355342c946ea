using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Arus.Storage;

/// <summary>
/// Forces what was written to stable storage, and says so when that fails. <see cref="RandomAccess.FlushToDisk"/> and
/// <see cref="FileStream.Flush(bool)"/> of .NET 10 do not: they return as if all were well when fsync fails (EIO, ENOSPC).
/// </summary>
internal static partial class StableStorage
{
    private const int ReadOnly = 0;
    private const int Interrupted = 4;
    private const int InvalidArgument = 22;
    private const int FullSync = 51;

    /// <summary>Syncs a file: its contents, and of its metadata what it takes to read them back.</summary>
    /// <exception cref="IOException">It failed; what was written since the last sync may be lost, whatever a later sync says.</exception>
    public static void Flush(SafeFileHandle handle, string path)
    {
        if (OperatingSystem.IsWindows())
            RandomAccess.FlushToDisk(handle);
        else if (Sync(handle, isDirectory: false) is var error and not 0)
            throw new IOException($"{path} cannot be flushed to the disk: {Marshal.GetPInvokeErrorMessage(error)}.");
    }

    /// <summary>Syncs the entries of a directory: which files there are, and their names.</summary>
    /// <exception cref="IOException">The directory cannot be opened, or the sync failed.</exception>
    public static void FlushDirectory(string directory)
    {
        if (OperatingSystem.IsWindows())
        {
            return; // NTFS journals directory entries; a directory cannot be flushed through a plain handle.
        }

        int descriptor = Retry(() => Open(directory, ReadOnly));
        if (descriptor < 0)
            throw new IOException($"Cannot open the directory {directory} to flush it: {Marshal.GetLastPInvokeErrorMessage()}.");

        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        int error = Sync(handle, isDirectory: true);

        // Some file systems have nothing to flush for a directory, and say that the argument is invalid.
        if (error is not (0 or InvalidArgument))
            throw new IOException($"Cannot flush the directory {directory}: {Marshal.GetPInvokeErrorMessage(error)}.");
    }

    /// <summary>The error number; 0 when it is done.</summary>
    private static int Sync(SafeFileHandle handle, bool isDirectory)
    {
        bool held = false;
        try
        {
            handle.DangerousAddRef(ref held); // An ObjectDisposedException when the file was closed meanwhile.
            int descriptor = (int)handle.DangerousGetHandle();
            int result = Retry(() => OperatingSystem.IsMacOS() ? Control(descriptor, FullSync)
                : isDirectory || !OperatingSystem.IsLinux() ? SyncAll(descriptor)
                : SyncData(descriptor));
            return result < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
        finally
        {
            if (held)
                handle.DangerousRelease();
        }
    }

    private static int Retry(Func<int> call)
    {
        int result = call();
        while (result < 0 && Marshal.GetLastPInvokeError() == Interrupted)
            result = call();

        return result;
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int SyncAll(int descriptor);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int SyncData(int descriptor);

    /// <summary>On macOS fsync reaches the drive's cache only; this reaches the medium.</summary>
    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(int descriptor, int command);
}
