using Arus.Storage;

namespace Arus.Testing;

/// <summary>
/// A disk that keeps only what was synced. A crash decides by its seed what else is there: of the unsynced writes each may be
/// there, missing, or torn; of the unsynced directory changes, the first few.
/// </summary>
public sealed class FaultyFileSystem : ILogFileSystem
{
    private const int Sector = 64; // Small, so that small tests tear much.

    private readonly Dictionary<string, Node> _files = new(StringComparer.Ordinal);
    private readonly HashSet<string> _directories = new(StringComparer.Ordinal);
    private readonly List<Change> _journal = [];
    private readonly Dictionary<string, Node> _durableFiles = new(StringComparer.Ordinal);
    private readonly HashSet<string> _durableDirectories = new(StringComparer.Ordinal);

    private sealed record Change(string Directory, Action<Dictionary<string, Node>, HashSet<string>> Apply);

    /// <summary>Each write and flush asks it; true makes it fail.</summary>
    public Func<string, bool> FailIo { get; set; } = _ => false;

    /// <summary>
    /// Each flush of a file asks it; true makes it fail as a Linux system does: what was written since the last flush stays visible, and
    /// no later flush writes it.
    /// </summary>
    public Func<string, bool> FailFlush { get; set; } = _ => false;

    /// <summary>Whether no file can grow: of a write that would make one grow, some bytes are written.</summary>
    public bool IsFull { get; set; }

    public int Flushes { get; private set; }

    /// <summary>Of the crash that this disk has come out of: writes of which nothing, or only a part, had reached it.</summary>
    public int LostWrites { get; private set; }

    /// <inheritdoc cref="LostWrites"/>
    public int TornWrites { get; private set; }

    public bool IsOff { get; private set; }

    /// <summary>Changes, of files and of directories, that succeed before the machine is off; negative for no end.</summary>
    public int ChangesLeft { get; set; } = -1;

    /// <summary>Only the process died: what was written can be read.</summary>
    public void TurnOn() => (IsOff, ChangesLeft) = (false, -1);

    /// <summary>The machine after a crash of this one and a restart; this one answers nothing any more.</summary>
    public FaultyFileSystem Crash(Random random)
    {
        IsOff = true;
        foreach (Change change in _journal.TakeWhile(_ => random.Next(3) != 0))
            change.Apply(_durableFiles, _durableDirectories);

        var restarted = new FaultyFileSystem();
        foreach (string directory in _durableDirectories.Where(IsReachable))
        {
            restarted._directories.Add(directory);
            restarted._durableDirectories.Add(directory);
        }

        foreach ((string path, Node node) in _durableFiles.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            if (restarted._directories.Contains(Path.GetDirectoryName(path)!))
            {
                Node survivor = node.AfterCrash(random, restarted);
                restarted._files.Add(path, survivor);
                restarted._durableFiles.Add(path, survivor);
            }
        }

        return restarted;

        bool IsReachable(string directory) =>
            Path.GetDirectoryName(directory) is not { Length: > 1 } parent || (_durableDirectories.Contains(parent) && IsReachable(parent));
    }

    /// <summary>A disk with the same files, all of them durable.</summary>
    public FaultyFileSystem Copy()
    {
        var copy = new FaultyFileSystem();
        foreach (string directory in _directories)
        {
            copy._directories.Add(directory);
            copy._durableDirectories.Add(directory);
        }

        foreach ((string path, Node node) in _files)
            copy._files[path] = copy._durableFiles[path] = node.Copy();

        return copy;
    }

    /// <summary>Changes bytes behind everybody's back.</summary>
    public void Damage(string path, int position, byte[] bytes) => _files[path].Write(position, bytes, journal: false);

    public byte[] Content(string path) => _files[path].Content;

    public void Replace(string path, byte[] content)
    {
        _files[path].SetLength(0, journal: false);
        _files[path].Write(0, content, journal: false);
    }

    public ILogFile Open(string path, bool create)
    {
        Check(path);
        if (!_files.TryGetValue(path, out Node? node))
        {
            if (!create || !_directories.Contains(Path.GetDirectoryName(path)!))
                throw new FileNotFoundException($"{path} does not exist.", path);

            node = new Node();
            Node added = node;
            Record(path, (files, _) => files[path] = added);
        }

        return new OpenFile(this, path, node);
    }

    public LogFileInfo? GetInfo(string path) =>
        _files.TryGetValue(path, out Node? node) ? new LogFileInfo(node.Length, DateTimeOffset.UnixEpoch) : null;

    public bool DirectoryExists(string path) => _directories.Contains(path);

    public IReadOnlyList<string> ListFiles(string directory) =>
        NamesIn(_files.Keys, directory);

    public IReadOnlyList<string> ListDirectories(string directory) =>
        NamesIn(_directories, directory);

    public void CreateDirectory(string directory)
    {
        Check(directory);
        if (_directories.Contains(directory))
            return;

        if (Path.GetDirectoryName(directory) is { Length: > 1 } parent)
            CreateDirectory(parent);

        Record(directory, (_, directories) => directories.Add(directory));
    }

    public void DeleteFile(string path)
    {
        Check(path);
        if (_files.ContainsKey(path))
            Record(path, (files, _) => files.Remove(path));
    }

    public void RenameFile(string path, string newPath)
    {
        Check(path);
        if (!_files.TryGetValue(path, out Node? node))
            throw new FileNotFoundException($"{path} does not exist.", path);

        Record(newPath, (files, _) =>
        {
            files.Remove(path);
            files[newPath] = node;
        });
    }

    public void RenameDirectory(string path, string newPath)
    {
        Check(path);
        Record(path, (files, directories) =>
        {
            directories.Remove(path);
            directories.Add(newPath);
            foreach (string file in files.Keys.Where(file => Path.GetDirectoryName(file) == path).ToArray())
            {
                files.Remove(file, out Node? node);
                files[Path.Combine(newPath, Path.GetFileName(file))] = node!;
            }
        });
    }

    public void DeleteDirectory(string path)
    {
        Check(path);
        Record(path, (files, directories) =>
        {
            directories.Remove(path);
            foreach (string file in files.Keys.Where(file => Path.GetDirectoryName(file) == path).ToArray())
                files.Remove(file);
        });
    }

    public void SyncDirectory(string directory)
    {
        Spend(directory);
        foreach (Change change in _journal.Where(change => change.Directory == directory))
            change.Apply(_durableFiles, _durableDirectories);

        _journal.RemoveAll(change => change.Directory == directory);
    }

    private static IReadOnlyList<string> NamesIn(IEnumerable<string> paths, string directory) =>
        [
            .. paths.Where(path => Path.GetDirectoryName(path) == directory).Select(path => Path.GetFileName(path)!)
                .Order(StringComparer.Ordinal),
        ];

    public IDisposable LockDirectory(string directory) => new MemoryStream();

    private void Record(string path, Action<Dictionary<string, Node>, HashSet<string>> apply)
    {
        Spend(path);
        apply(_files, _directories);
        _journal.Add(new Change(Path.GetDirectoryName(path)!, apply));
    }

    private void Check(string path)
    {
        if (IsOff)
            throw new IOException($"{path}: the machine is off.");
    }

    private void Spend(string path)
    {
        IsOff |= ChangesLeft == 0;
        Check(path);
        ChangesLeft -= ChangesLeft > 0 ? 1 : 0;
    }

    private void CheckIo(string path)
    {
        Spend(path);
        if (FailIo(path))
            throw new IOException($"{path}: input/output error.");
    }

    private sealed class Node
    {
        private readonly List<(int Position, byte[]? Bytes)> _unsynced = [];
        private byte[] _content = [];
        private byte[] _durable = [];

        public byte[] Content => [.. _content];

        public int Length => _content.Length;

        /// <param name="journal">Whether a crash may undo it; otherwise it is durable at once.</param>
        public void Write(int position, ReadOnlySpan<byte> bytes, bool journal = true)
        {
            _content = Apply(_content, position, bytes);
            if (journal)
                _unsynced.Add((position, bytes.ToArray()));
            else
                _durable = Apply(_durable, position, bytes);
        }

        public void SetLength(int length, bool journal = true)
        {
            Array.Resize(ref _content, length);
            if (journal)
                _unsynced.Add((length, null));
            else
                Array.Resize(ref _durable, length);
        }

        public int Read(int position, Span<byte> buffer)
        {
            int count = Math.Clamp(_content.Length - position, 0, buffer.Length);
            _content.AsSpan(Math.Min(position, _content.Length), count).CopyTo(buffer);
            return count;
        }

        public void Flush()
        {
            foreach ((int position, byte[]? bytes) in _unsynced)
            {
                if (bytes is null)
                    Array.Resize(ref _durable, position);
                else
                    _durable = Apply(_durable, position, bytes);
            }

            _unsynced.Clear();
        }

        /// <summary>The system reports the failure once and takes the pages for clean.</summary>
        public void FailFlush() => _unsynced.Clear();

        public Node Copy() => new() { _content = [.. _content], _durable = [.. _content] };

        public Node AfterCrash(Random random, FaultyFileSystem restarted)
        {
            byte[] content = [.. _durable];
            foreach ((int position, byte[]? bytes) in _unsynced)
            {
                switch (random.Next(3))
                {
                    case 0 when bytes is null:
                        Array.Resize(ref content, position);
                        break;
                    case 0:
                        content = Apply(content, position, bytes);
                        break;
                    case 1 when bytes is not null:
                        content = Tear(content, position, bytes, random);
                        restarted.TornWrites++;
                        break;
                    case 2 when bytes is not null:
                        restarted.LostWrites++;
                        break;
                }
            }

            return new Node { _content = content, _durable = [.. content] };
        }

        private static byte[] Tear(byte[] content, int position, byte[] bytes, Random random)
        {
            // Some sectors of the write arrive, in any order; the file's length may be grown already, by zeros. What was there before
            // is overwritten by what arrives alone.
            if (random.Next(2) == 0 && content.Length < position + bytes.Length)
                Array.Resize(ref content, position + bytes.Length);

            for (int at = 0; at < bytes.Length; at += Sector)
            {
                if (random.Next(2) == 0)
                    content = Apply(content, position + at, bytes.AsSpan(at, Math.Min(Sector, bytes.Length - at)));
            }

            return content;
        }

        private static byte[] Apply(byte[] content, int position, ReadOnlySpan<byte> bytes)
        {
            if (content.Length < position + bytes.Length)
                Array.Resize(ref content, position + bytes.Length);

            bytes.CopyTo(content.AsSpan(position));
            return content;
        }
    }

    private sealed class OpenFile(FaultyFileSystem owner, string path, Node node) : ILogFile
    {
        private bool _closed;

        public long Length
        {
            get
            {
                CheckOpen();
                return node.Length;
            }
        }

        public int Read(long position, Span<byte> buffer)
        {
            CheckOpen();
            return node.Read((int)position, buffer);
        }

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> buffers)
        {
            foreach (ReadOnlyMemory<byte> buffer in buffers)
            {
                CheckOpen();
                owner.CheckIo(path);
                if (owner.IsFull && position + buffer.Length > node.Length)
                {
                    node.Write((int)position, buffer.Span[..(buffer.Length / 2)]);
                    throw new IOException($"No space left on device : '{path}'");
                }

                node.Write((int)position, buffer.Span);
                position += buffer.Length;
            }
        }

        public void SetLength(long length)
        {
            CheckOpen();
            owner.Spend(path);
            node.SetLength((int)length);
        }

        public void Flush()
        {
            CheckOpen();
            owner.CheckIo(path);
            if (owner.FailFlush(path))
            {
                node.FailFlush();
                throw new IOException($"{path}: the flush failed.");
            }

            owner.Flushes++;
            node.Flush();
        }

        public void Dispose() => _closed = true;

        private void CheckOpen()
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            owner.Check(path);
        }
    }
}
