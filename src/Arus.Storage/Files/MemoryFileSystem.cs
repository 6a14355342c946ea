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

    public ILogFile Open(string path, bool create)
    {
        lock (_lock)
        {
            if (!_files.TryGetValue(path, out MemoryFile? file))
            {
                if (!create)
                {
                    throw new FileNotFoundException($"{path} does not exist.", path);
                }

                _files.Add(path, file = new MemoryFile(_time));
            }

            return file;
        }
    }

    public bool FileExists(string path)
    {
        lock (_lock)
        {
            return _files.ContainsKey(path);
        }
    }

    public LogFileInfo? GetInfo(string path)
    {
        lock (_lock)
        {
            return _files.TryGetValue(path, out MemoryFile? file) ? new LogFileInfo(file.Length, file.LastWritten) : null;
        }
    }

    public bool DirectoryExists(string path)
    {
        lock (_lock)
        {
            return _directories.Contains(path);
        }
    }

    public IReadOnlyList<string> ListFiles(string directory)
    {
        lock (_lock)
        {
            return [.. _files.Keys.Where(path => Path.GetDirectoryName(path) == directory).Select(path => Path.GetFileName(path))];
        }
    }

    public IReadOnlyList<string> ListDirectories(string directory)
    {
        lock (_lock)
        {
            return [.. _directories.Where(path => Path.GetDirectoryName(path) == directory).Select(path => Path.GetFileName(path))];
        }
    }

    public void CreateDirectory(string directory)
    {
        lock (_lock)
        {
            for (string? path = directory; !string.IsNullOrEmpty(path); path = Path.GetDirectoryName(path))
            {
                _directories.Add(path);
            }
        }
    }

    public void DeleteFile(string path)
    {
        lock (_lock)
        {
            _files.Remove(path);
        }
    }

    public void RenameFile(string path, string newPath)
    {
        lock (_lock)
        {
            if (!_files.Remove(path, out MemoryFile? file))
            {
                throw new FileNotFoundException($"{path} does not exist.", path);
            }

            _files[newPath] = file;
        }
    }

    public void RenameDirectory(string path, string newPath)
    {
        lock (_lock)
        {
            _directories.Remove(path);
            _directories.Add(newPath);
            foreach (string file in _files.Keys.Where(file => Path.GetDirectoryName(file) == path).ToArray())
            {
                _files.Remove(file, out MemoryFile? moved);
                _files.Add(Path.Combine(newPath, Path.GetFileName(file)), moved!);
            }
        }
    }

    public void DeleteDirectory(string path)
    {
        lock (_lock)
        {
            _directories.Remove(path);
            foreach (string file in _files.Keys.Where(file => Path.GetDirectoryName(file) == path).ToArray())
            {
                _files.Remove(file);
            }
        }
    }

    public void SyncDirectory(string directory)
    {
    }

    /// <summary>Does nothing: no other process can reach the object.</summary>
    public IDisposable LockDirectory(string directory) => new MemoryFile(_time);

    /// <summary>Blocks of a fixed size, so that growing copies nothing.</summary>
    private sealed class MemoryFile(TimeProvider time) : ILogFile
    {
        private const int BlockSize = 64 * 1024;

        private readonly Lock _lock = new();
        private readonly List<byte[]> _blocks = [];
        private long _length;

        public DateTimeOffset LastWritten { get; private set; } = time.GetUtcNow();

        public long Length
        {
            get
            {
                lock (_lock)
                {
                    return _length;
                }
            }
        }

        public int Read(long position, Span<byte> buffer)
        {
            lock (_lock)
            {
                int total = (int)Math.Clamp(_length - position, 0, buffer.Length);
                for (int done = 0; done < total;)
                {
                    (int block, int start) = Locate(position + done);
                    int count = Math.Min(BlockSize - start, total - done);
                    _blocks[block].AsSpan(start, count).CopyTo(buffer[done..]);
                    done += count;
                }

                return total;
            }
        }

        public void Write(long position, ReadOnlyMemory<byte> bytes)
        {
            lock (_lock)
            {
                Grow(position + bytes.Length);
                LastWritten = time.GetUtcNow();
                ReadOnlySpan<byte> rest = bytes.Span;
                while (!rest.IsEmpty)
                {
                    (int block, int start) = Locate(position);
                    int count = Math.Min(BlockSize - start, rest.Length);
                    rest[..count].CopyTo(_blocks[block].AsSpan(start));
                    rest = rest[count..];
                    position += count;
                }
            }
        }

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> buffers)
        {
            foreach (ReadOnlyMemory<byte> buffer in buffers)
            {
                Write(position, buffer);
                position += buffer.Length;
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
                {
                    _blocks[^1].AsSpan((int)used).Clear();
                }
            }
        }

        public void Flush()
        {
        }

        public void Dispose()
        {
        }

        private static (int Block, int Start) Locate(long position) => ((int)(position / BlockSize), (int)(position % BlockSize));

        private void Grow(long length)
        {
            while ((long)_blocks.Count * BlockSize < length)
            {
                _blocks.Add(new byte[BlockSize]);
            }

            _length = Math.Max(_length, length);
        }
    }
}
