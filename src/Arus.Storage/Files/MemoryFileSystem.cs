namespace Arus.Storage;

/// <summary>
/// A file system in memory: the log over it is the memory log, for tests and for brokers that keep nothing. What is written stays
/// for the life of this object. Thread-safe.
/// </summary>
/// <param name="time">Says when a file was written; null for the machine's clock.</param>
public sealed class MemoryFileSystem(TimeProvider? time = null) : ILogFileSystem
{
    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, MemoryFile> _files = new(StringComparer.Ordinal);
    private readonly HashSet<string> _directories = new(StringComparer.Ordinal);

    public ILogFile Open(string path, bool create) =>
        Locked(() =>
        {
            if (!_files.TryGetValue(path, out MemoryFile? file))
            {
                file = create ? new MemoryFile(_time) : throw new FileNotFoundException($"{path} does not exist.", path);
                _files.Add(path, file);
            }

            return file;
        });

    public LogFileInfo? GetInfo(string path) =>
        Locked(() => _files.TryGetValue(path, out MemoryFile? file) ? new LogFileInfo(file.Length, file.LastWritten) : (LogFileInfo?)null);

    public bool DirectoryExists(string path) => Locked(() => _directories.Contains(path));

    public IReadOnlyList<string> ListFiles(string directory) => Locked(() => NamesIn(_files.Keys, directory));

    public IReadOnlyList<string> ListDirectories(string directory) => Locked(() => NamesIn(_directories, directory));

    public void CreateDirectory(string directory) =>
        Locked(() =>
        {
            string? path = directory;
            while (!string.IsNullOrEmpty(path) && _directories.Add(path))
                path = Path.GetDirectoryName(path);

            return true;
        });

    public void DeleteFile(string path) => Locked(() => _files.Remove(path));

    public void RenameFile(string path, string newPath) =>
        Locked(() =>
            _files[newPath] = _files.Remove(path, out MemoryFile? file)
                ? file
                : throw new FileNotFoundException($"{path} does not exist.", path));

    public void RenameDirectory(string path, string newPath) => MoveDirectory(path, newPath);

    public void DeleteDirectory(string path) => MoveDirectory(path, null);

    public void SyncDirectory(string directory)
    {
    }

    /// <summary>Does nothing: no other process can reach the object.</summary>
    public IDisposable LockDirectory(string directory) => new MemoryFile(_time);

    private static string[] NamesIn(IEnumerable<string> paths, string directory) =>
        [.. paths.Where(path => Path.GetDirectoryName(path) == directory).Select(path => Path.GetFileName(path))];

    /// <summary>Renames a directory and the files in it, or deletes both (null).</summary>
    private void MoveDirectory(string path, string? newPath) =>
        Locked(() =>
        {
            foreach (string name in NamesIn(_files.Keys, path))
            {
                _files.Remove(Path.Combine(path, name), out MemoryFile? file);
                if (newPath is not null)
                    _files.Add(Path.Combine(newPath, name), file!);
            }

            return _directories.Remove(path) && newPath is not null && _directories.Add(newPath);
        });

    private T Locked<T>(Func<T> action)
    {
        lock (_lock)
            return action();
    }

    /// <summary>Blocks of a fixed size, so that growing copies nothing.</summary>
    private sealed class MemoryFile(TimeProvider time) : ILogFile
    {
        private const int BlockSize = 64 * 1024;

        private readonly Lock _lock = new();
        private readonly List<byte[]> _blocks = [];
        private long _length;

        public DateTimeOffset LastWritten { get; private set; } = time.GetUtcNow();

        public long Length => Interlocked.Read(ref _length);

        public int Read(long position, Span<byte> buffer)
        {
            lock (_lock)
            {
                int total = (int)Math.Clamp(_length - position, 0, buffer.Length);
                foreach (Memory<byte> block in Blocks(position, total))
                {
                    block.Span.CopyTo(buffer);
                    buffer = buffer[block.Length..];
                }

                return total;
            }
        }

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> buffers)
        {
            lock (_lock)
            {
                LastWritten = time.GetUtcNow();
                foreach (ReadOnlyMemory<byte> buffer in buffers)
                {
                    Grow(position + buffer.Length);
                    ReadOnlyMemory<byte> rest = buffer;
                    foreach (Memory<byte> block in Blocks(position, buffer.Length))
                    {
                        rest[..block.Length].CopyTo(block);
                        rest = rest[block.Length..];
                    }

                    position += buffer.Length;
                }
            }
        }

        public void SetLength(long length)
        {
            lock (_lock)
            {
                Grow(length);
                _length = length;
                int blocks = (int)((length + BlockSize - 1) / BlockSize);
                _blocks.RemoveRange(blocks, _blocks.Count - blocks);
                if (length % BlockSize is var used and > 0)
                    _blocks[^1].AsSpan((int)used).Clear();
            }
        }

        public void Flush()
        {
        }

        public void Dispose()
        {
        }

        private IEnumerable<Memory<byte>> Blocks(long position, int length)
        {
            for (long end = position + length; position < end; position += BlockSize - (position % BlockSize))
            {
                int start = (int)(position % BlockSize);
                yield return _blocks[(int)(position / BlockSize)].AsMemory(start, (int)Math.Min(BlockSize - start, end - position));
            }
        }

        private void Grow(long length)
        {
            while ((long)_blocks.Count * BlockSize < length)
                _blocks.Add(new byte[BlockSize]);

            _length = Math.Max(_length, length);
        }
    }
}
