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
        List<ILogFile>? toClose = null;
        ILogFile result;
        lock (_lock)
        {
            if (file.Retired)
                throw new FileRetiredException(file.Path);

            if (file.Open is { } open)
            {
                _recent.Remove(file.Node);
                _recent.AddFirst(file.Node);
                return open;
            }

            result = file.Open = FileSystem.Open(file.Path, create);
            _recent.AddFirst(file.Node);
            while (_recent.Count > limit)
                (toClose ??= []).Add(Forget(_recent.Last!.Value));
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
    public SharedFile(OpenFiles files, string path)
    {
        Files = files;
        Path = path;
        Node = new LinkedListNode<SharedFile>(this);
    }

    public OpenFiles Files { get; }

    public string Path { get; }

    public LinkedListNode<SharedFile> Node { get; }

    /// <summary>Guarded by <see cref="OpenFiles"/>.</summary>
    public ILogFile? Open { get; set; }

    /// <summary>The index of a full segment, in memory while its file is open.</summary>
    public SegmentIndex? Index { get; set; }

    /// <summary>Guarded by <see cref="OpenFiles"/>.</summary>
    public bool Retired { get; set; }

    public long Length
    {
        get
        {
            long length = 0;
            Use((file, _) => length = file.Length, 0);
            return length;
        }
    }

    public void Create() => Files.Acquire(this, create: true);

    public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> buffers) =>
        Use(static (file, state) => file.Write(state.position, state.buffers), (position, buffers));

    public void SetLength(long length) => Use(static (file, value) => file.SetLength(value), length);

    public void Flush() => Use(static (file, _) => file.Flush(), 0);

    public void Close() => Files.Close(this, retire: false);

    /// <summary>Closes it for good: its segment was deleted or rewritten, and its name may soon mean another file.</summary>
    public void Retire() => Files.Close(this, retire: true);

    public int Read(long position, Span<byte> buffer)
    {
        while (true)
        {
            ILogFile file = Files.Acquire(this, create: false);
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

    private void Use<TState>(Action<ILogFile, TState> action, TState state)
    {
        while (true)
        {
            ILogFile file = Files.Acquire(this, create: false);
            try
            {
                action(file, state);
                return;
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
