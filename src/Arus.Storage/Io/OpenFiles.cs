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
            {
                return _recent.Count;
            }
        }
    }

    public ILogFile Acquire(SharedFile file, bool create)
    {
        List<ILogFile>? toClose = null;
        ILogFile result;
        lock (_lock)
        {
            if (file.Retired)
            {
                throw new FileRetiredException(file.Path);
            }

            if (file.Open is { } open)
            {
                _recent.Remove(file.Node);
                _recent.AddFirst(file.Node);
                return open;
            }

            result = file.Open = FileSystem.Open(file.Path, create);
            _recent.AddFirst(file.Node);
            while (_recent.Count > limit)
            {
                (toClose ??= []).Add(Forget(_recent.Last!.Value));
            }
        }

        toClose?.ForEach(closing => closing.Dispose());
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
        _recent.Remove(file.Node);
        ILogFile open = file.Open!;
        file.Open = null;
        file.Index = null;
        return open;
    }
}

/// <summary>A file that is opened when it is needed and may be closed between two uses.</summary>
internal sealed class SharedFile
{
    private readonly OpenFiles _files;

    public SharedFile(OpenFiles files, string path)
    {
        _files = files;
        Path = path;
        Node = new LinkedListNode<SharedFile>(this);
    }

    public string Path { get; }

    public OpenFiles Files => _files;

    public LinkedListNode<SharedFile> Node { get; }

    /// <summary>Guarded by <see cref="OpenFiles"/>.</summary>
    public ILogFile? Open { get; set; }

    /// <summary>The index of a full segment, in memory while its file is open.</summary>
    public SegmentIndex? Index { get; set; }

    /// <summary>Guarded by <see cref="OpenFiles"/>.</summary>
    public bool Retired { get; set; }

    public long Length => Use(static (file, _) => file.Length, 0);

    public void Create() => _files.Acquire(this, create: true);

    public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> buffers) =>
        Use(
            static (file, state) =>
            {
                file.Write(state.position, state.buffers);
                return true;
            },
            (position, buffers));

    public void SetLength(long length) =>
        Use(
            static (file, value) =>
            {
                file.SetLength(value);
                return true;
            },
            length);

    public void Flush() =>
        Use(
            static (file, _) =>
            {
                file.Flush();
                return true;
            },
            0);

    public void Close() => _files.Close(this, retire: false);

    /// <summary>Closes it for good: its segment was deleted or rewritten, and its name may soon mean another file.</summary>
    public void Retire() => _files.Close(this, retire: true);

    public int Read(long position, Span<byte> buffer)
    {
        while (true)
        {
            ILogFile file = _files.Acquire(this, create: false);
            try
            {
                return file.Read(position, buffer);
            }
            catch (ObjectDisposedException)
            {
                // Closed between the two lines above, because another log needed a file.
            }
        }
    }

    private TResult Use<TState, TResult>(Func<ILogFile, TState, TResult> action, TState state)
    {
        while (true)
        {
            ILogFile file = _files.Acquire(this, create: false);
            try
            {
                return action(file, state);
            }
            catch (ObjectDisposedException)
            {
                // As in Read. A write that was cut short is made again at the same position.
            }
        }
    }
}

/// <summary>The file's segment was deleted or rewritten while a reader was about to use it; look the segment up again.</summary>
internal sealed class FileRetiredException(string path) : IOException($"{path} was deleted or rewritten.");
