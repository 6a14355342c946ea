using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Arus.Storage;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>
/// Grain storage in files, one for each state (<see cref="GrainStateFile"/>). A write is durable when it returns: the next version
/// is written beside the file, flushed, and takes its place by a rename that is flushed as well. Writes and clears compare the
/// ETag under a lock that holds across all processes that share the directory. Safe for concurrent use.
/// </summary>
/// <remarks>
/// A state whose file was replaced and whose directory could not be flushed then can be read and is not durable. It is written again
/// before this storage answers with it.
/// </remarks>
/// <param name="name">The provider's name, for messages.</param>
/// <param name="files">Where the states are written; null for the machine's file system. Locks and reads are the machine's.</param>
/// <exception cref="OrleansConfigurationException">The options make no sense; the message names the one.</exception>
public sealed class FileGrainStorage(
    string name, FileGrainStorageOptions options, TimeProvider? time = null, ILogFileSystem? files = null)
    : IGrainStorage, ILifecycleParticipant<ISiloLifecycle>, IDisposable
{
    private readonly FileGrainStorageOptions _options = options.Validated(name);
    private readonly string _directory = Path.GetFullPath(options.Directory);
    private readonly FileLane _lane = new($"Arus grain storage {name}", options.IoThreads, options.MaxQueuedOperations);
    private readonly ShardLocks _locks = new(Path.GetFullPath(options.Directory), options.LockTimeout, time ?? TimeProvider.System);
    private readonly ILogFileSystem _files = files ?? PhysicalFileSystem.Instance;

    /// <summary>The files of states whose last change took effect and is not known to be durable.</summary>
    private readonly ConcurrentDictionary<string, bool> _unsynced = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public async Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        GrainStatePath path = GrainStatePath.Of(_directory, stateName, grainId);
        if (_unsynced.ContainsKey(path.File))
            await _locks.RunAsync(path.Shard, _lane, () => WriteAgain(path)).ConfigureAwait(false);

        byte[]? file = await _lane.RunAsync(() => ReadFile(path.File)).ConfigureAwait(false);
        if (file is null)
        {
            SetAbsent(grainState);
            return;
        }

        (Guid etag, ReadOnlyMemory<byte> payload) = GrainStateFile.Parse(path.File, path.Key, file);
        grainState.State = Deserialize<T>(path.File, payload) ?? CreateEmpty<T>();
        grainState.ETag = Format(etag);
        grainState.RecordExists = true;
    }

    /// <inheritdoc/>
    public async Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        GrainStatePath path = GrainStatePath.Of(_directory, stateName, grainId);
        ReadOnlyMemory<byte> payload = Serialize(grainState.State);
        if (payload.Length > _options.MaxStateBytes)
        {
            throw new InvalidOperationException(
                $"State {stateName} of {grainId} has {payload.Length:N0} bytes; "
                + $"file grain storage \"{name}\" takes {_options.MaxStateBytes:N0}.");
        }

        var next = Guid.NewGuid();
        byte[] file = GrainStateFile.Format(path.Key, next, payload.Span);
        string? expected = grainState.ETag;
        await _locks.RunAsync(path.Shard, _lane, () => Replace(path, expected, file)).ConfigureAwait(false);
        grainState.ETag = Format(next);
        grainState.RecordExists = true;
    }

    /// <inheritdoc/>
    public async Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        GrainStatePath path = GrainStatePath.Of(_directory, stateName, grainId);
        string? expected = grainState.ETag;
        await _locks.RunAsync(path.Shard, _lane, () => Remove(path, expected)).ConfigureAwait(false);
        SetAbsent(grainState);
    }

    /// <inheritdoc/>
    public void Participate(ISiloLifecycle observer) => observer.Subscribe(
        $"File grain storage {name}", ServiceLifecycleStage.RuntimeStorageServices, cancellation => _lane.RunAsync(CheckDirectory));

    /// <summary>Ends its threads once what is queued is done.</summary>
    public void Dispose() => _lane.Dispose();

    private static string Format(Guid etag) => etag.ToString("N");

    private static void SetAbsent<T>(IGrainState<T> grainState)
    {
        grainState.State = CreateEmpty<T>();
        grainState.ETag = null;
        grainState.RecordExists = false;
    }

    // As Orleans' own providers do it: by the parameterless constructor, or by none.
    private static T? CreateEmpty<T>()
    {
        Type type = typeof(T);
        if (type.IsValueType || type.IsAbstract || type.IsArray || type == typeof(string))
            return default;

        return type.GetConstructor([]) is null ? (T)RuntimeHelpers.GetUninitializedObject(type) : Activator.CreateInstance<T>();
    }

    private static byte[]? ReadFile(string path)
    {
        try
        {
            // A reader must not keep a writer from replacing the file, nor be confused by it: it goes on reading the old one.
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            byte[] bytes = GC.AllocateUninitializedArray<byte>(checked((int)file.Length));
            return bytes[..file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false)];
        }
        catch (Exception missing) when (missing is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    private bool Replace(GrainStatePath path, string? expected, byte[] file)
    {
        Compare(path, expected, "written");
        if (!_files.DirectoryExists(path.ShardDirectory))
        {
            _files.CreateDirectory(path.ShardDirectory);
            _files.SyncDirectory(_directory);
        }

        return Change(
            path, () => _files.ReplaceFile(path.File, file, durable: true),
            () => ReadFile(path.File) is { } stored && stored.AsSpan().SequenceEqual(file));
    }

    private bool Remove(GrainStatePath path, string? expected)
    {
        Compare(path, expected, "cleared");
        return !_files.DirectoryExists(path.ShardDirectory) || Change(path, () => Delete(path.File), () => ReadFile(path.File) is null);
    }

    private void Delete(string file)
    {
        _files.DeleteFile(file);
        _files.SyncDirectory(Path.GetDirectoryName(file)!);
    }

    /// <summary>Changes a state's file, and remembers when that took effect without being durable.</summary>
    private bool Change(GrainStatePath path, Action change, Func<bool> tookEffect)
    {
        try
        {
            change();
        }
        catch (IOException) when (tookEffect())
        {
            _unsynced[path.File] = true;
            throw;
        }

        _unsynced.TryRemove(path.File, out _);
        return true;
    }

    /// <summary>Writes a state again as it is. A second flush of its directory would not do: it may succeed and write nothing.</summary>
    private bool WriteAgain(GrainStatePath path)
    {
        byte[]? stored = ReadFile(path.File);
        string file = stored is null ? path.File + ".cleared" : path.File;
        _files.ReplaceFile(file, stored, durable: true);
        if (stored is null)
            Delete(file);

        return _unsynced.TryRemove(path.File, out _);
    }

    private void Compare(GrainStatePath path, string? expected, string what)
    {
        string? stored = ReadFile(path.File) is { } file ? Format(GrainStateFile.ReadETag(path.File, file)) : null;
        if (stored != expected)
        {
            throw new InconsistentStateException(
                $"The state in {path.File} was not {what}: its ETag is {stored ?? "none"} and {expected ?? "none"} was expected.",
                stored, expected);
        }
    }

    private ReadOnlyMemory<byte> Serialize<T>(T? state) => _options.GrainStorageSerializer is { } serializer
        ? serializer.Serialize(state).ToMemory()
        : JsonSerializer.SerializeToUtf8Bytes(state, _options.Json);

    private T? Deserialize<T>(string path, ReadOnlyMemory<byte> payload)
    {
        try
        {
            return _options.GrainStorageSerializer is { } serializer
                ? serializer.Deserialize<T>(new BinaryData(payload))
                : JsonSerializer.Deserialize<T>(payload.Span, _options.Json);
        }
        catch (Exception unreadable) when (unreadable is JsonException or NotSupportedException or FormatException)
        {
            throw new CorruptGrainStateException(path, $"its contents are no {typeof(T)} ({unreadable.Message})", unreadable);
        }
    }

    private bool CheckDirectory()
    {
        try
        {
            Directory.CreateDirectory(Path.Combine(_directory, "locks"));
            string probe = Path.Combine(_directory, $"probe-{Guid.NewGuid():N}.tmp");
            File.WriteAllBytes(probe, []);
            File.Delete(probe);
            return true;
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            throw new OrleansConfigurationException(
                $"File grain storage \"{name}\" cannot write to its directory {_directory}: {refused.Message}", refused);
        }
    }
}
