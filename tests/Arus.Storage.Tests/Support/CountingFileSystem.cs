namespace Arus.Storage.Tests;

/// <summary>Counts what is done to the segments of the file system behind it.</summary>
internal sealed class CountingFileSystem(ILogFileSystem inner) : ILogFileSystem
{
    private int _segmentWrites;
    private int _segmentFlushes;
    private long _preallocated;

    public int SegmentFlushes => Volatile.Read(ref _segmentFlushes);

    /// <summary>What was reserved for segments and not given back, in bytes.</summary>
    public long Preallocated => Interlocked.Read(ref _preallocated);

    public int SegmentWrites => Volatile.Read(ref _segmentWrites);

    public ILogFile Open(string path, bool create)
    {
        ILogFile file = inner.Open(path, create);
        return path.EndsWith(".log", StringComparison.Ordinal) ? new CountedFile(this, file) : file;
    }

    public LogFileInfo? GetInfo(string path) => inner.GetInfo(path);

    public bool DirectoryExists(string path) => inner.DirectoryExists(path);

    public IReadOnlyList<string> ListFiles(string directory) => inner.ListFiles(directory);

    public IReadOnlyList<string> ListDirectories(string directory) => inner.ListDirectories(directory);

    public void CreateDirectory(string directory) => inner.CreateDirectory(directory);

    public void DeleteFile(string path) => inner.DeleteFile(path);

    public void RenameFile(string path, string newPath) => inner.RenameFile(path, newPath);

    public void RenameDirectory(string path, string newPath) => inner.RenameDirectory(path, newPath);

    public void DeleteDirectory(string path) => inner.DeleteDirectory(path);

    public void SyncDirectory(string directory) => inner.SyncDirectory(directory);

    public IDisposable LockDirectory(string directory) => inner.LockDirectory(directory);

    private sealed class CountedFile(CountingFileSystem owner, ILogFile file) : ILogFile
    {
        private long _reserved;

        public long Length => file.Length;

        public int Read(long position, Span<byte> buffer) => file.Read(position, buffer);

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> buffers)
        {
            Interlocked.Increment(ref owner._segmentWrites);
            file.Write(position, buffers);
        }

        public void SetLength(long length)
        {
            Interlocked.Add(ref owner._preallocated, -Interlocked.Exchange(ref _reserved, 0));
            file.SetLength(length);
        }

        public void Preallocate(long bytes)
        {
            Interlocked.Exchange(ref _reserved, bytes);
            Interlocked.Add(ref owner._preallocated, bytes);
        }

        public void Flush()
        {
            file.Flush();
            Interlocked.Increment(ref owner._segmentFlushes);
        }

        public void Dispose() => file.Dispose();
    }
}
