namespace Arus.Storage;

/// <summary>Keeps a bounded number of files open for all logs; the least recently used is closed. Thread-safe.</summary>
internal sealed class OpenFiles(ILogFileSystem fileSystem, int limit)
{
    private readonly Lock _lock = new();
    private readonly LinkedList<SharedFile> _recent = new();

    public ILogFileSystem FileSystem { get; } = fileSystem;

    public int Count
    {
        get
        {
            lock (_lock)
                return _recent.Count;
        }
    }

    public ILogFile Acquire(SharedFile file, bool create)
    {
        ILogFile? toClose;
        ILogFile result;
        lock (_lock)
        {
            if (file.Retired)
                throw new FileRetiredException(file.Path);

            if (file is { Open: { } open, Node: { } node })
            {
                _recent.Remove(node);
                _recent.AddFirst(node);
                return open;
            }

            result = file.Open = FileSystem.Open(file.Path, create);
            file.Node = _recent.AddFirst(file);
            toClose = _recent.Count > limit ? Forget(_recent.Last!.Value) : null;
        }

        toClose?.Dispose();
        return result;
    }

    public void Close(SharedFile file, bool retire)
    {
        ILogFile? open;
        lock (_lock)
        {
            file.Retired |= retire;
            open = file.Open is null ? null : Forget(file);
        }

        open?.Dispose();
    }

    private ILogFile Forget(SharedFile file)
    {
        _recent.Remove(file.Node!);
        ILogFile open = file.Open!;
        (file.Open, file.Node, file.Index) = (null, null, null);
        return open;
    }
}

/// <summary>A file that is opened when it is needed and may be closed between two uses.</summary>
internal sealed class SharedFile(OpenFiles files, string path)
{
    private readonly Lock _flushLock = new();
    private IOException? _flushFailure;

    public OpenFiles Files { get; } = files;

    public string Path { get; } = path;

    /// <summary>Guarded by <see cref="OpenFiles"/>.</summary>
    public ILogFile? Open { get; set; }

    /// <summary>Its place among the open files; null while it is closed. Guarded by <see cref="OpenFiles"/>.</summary>
    public LinkedListNode<SharedFile>? Node { get; set; }

    /// <summary>The index of a full segment, in memory while its file is open.</summary>
    public SegmentIndex? Index { get; set; }

    /// <summary>Guarded by <see cref="OpenFiles"/>.</summary>
    public bool Retired { get; set; }

    public long Length => Use(0, 0, static (file, _, _) => file.Length);

    /// <param name="preallocate">Bytes to reserve on disk for a new file.</param>
    public void Create(long preallocate = 0) => Files.Acquire(this, create: true).Preallocate(preallocate);

    public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> buffers) =>
        Use(position, buffers, static (file, at, source) =>
        {
            file.Write(at, source);
            return at;
        });

    public int Read(long position, Span<byte> buffer) => (int)Use(position, buffer, static (file, at, target) => file.Read(at, target));

    public void SetLength(long length) =>
        Use(length, 0, static (file, value, _) =>
        {
            file.SetLength(value);
            return value;
        });

    /// <summary>
    /// Syncs what was written. Once that has failed it always fails: the system tells a failure once, so that a second sync would
    /// succeed without having written what the first one lost.
    /// </summary>
    public void Flush()
    {
        lock (_flushLock)
        {
            if (_flushFailure is { } earlier)
                throw new IOException(earlier.Message, earlier);

            try
            {
                Use(0, 0, static (file, _, _) =>
                {
                    file.Flush();
                    return 0;
                });
            }
            catch (IOException error) when (error is not FileRetiredException)
            {
                _flushFailure = error;
                throw;
            }
        }
    }

    public void Close() => Files.Close(this, retire: false);

    /// <summary>Closes it for good: its segment was deleted or rewritten, and its name may soon mean another file.</summary>
    public void Retire() => Files.Close(this, retire: true);

    private long Use<TState>(long position, TState state, Func<ILogFile, long, TState, long> action)
        where TState : allows ref struct
    {
        while (true)
        {
            ILogFile file = Files.Acquire(this, create: false);
            try
            {
                return action(file, position, state);
            }
            catch (ObjectDisposedException)
            {
                // Closed since it was acquired, because another log needed a file. What was cut short is done again at the same position.
            }
        }
    }
}

/// <summary>The file's segment was deleted or rewritten while a reader was about to use it; look the segment up again.</summary>
internal sealed class FileRetiredException(string path) : IOException($"{path} was deleted or rewritten.");
