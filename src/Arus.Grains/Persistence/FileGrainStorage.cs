using System.Runtime.CompilerServices;
using System.Text.Json;
using Arus.Storage;
using Microsoft.Win32.SafeHandles;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>
/// Grain storage in files, one for each state (<see cref="GrainStateFile"/>). A write is durable when it returns: the next version
/// is written beside the file, flushed, and takes its place by a rename that is flushed as well. Writes and clears compare the
/// ETag under a lock that holds across all processes that share the directory. Safe for concurrent use.
/// </summary>
/// <param name="name">The provider's name, for messages.</param>
/// <exception cref="OrleansConfigurationException">The options make no sense; the message names the one.</exception>
public sealed class FileGrainStorage(string name, FileGrainStorageOptions options, TimeProvider? time = null)
    : IGrainStorage, ILifecycleParticipant<ISiloLifecycle>, IDisposable
{
    private readonly FileGrainStorageOptions _options = options.Validated(name);
    private readonly string _directory = Path.GetFullPath(options.Directory);
    private readonly FileLane _lane = new($"Arus grain storage {name}", options.IoThreads, options.MaxQueuedOperations);
    private readonly ShardLocks _locks = new(Path.GetFullPath(options.Directory), options.LockTimeout, time ?? TimeProvider.System);

    /// <inheritdoc/>
    public async Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        GrainStatePath path = GrainStatePath.Of(_directory, stateName, grainId);
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
        if (!Directory.Exists(path.ShardDirectory))
        {
            Directory.CreateDirectory(path.ShardDirectory);
            PhysicalFileSystem.Instance.SyncDirectory(_directory);
        }

        using (SafeFileHandle handle = File.OpenHandle(path.TemporaryFile, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            RandomAccess.Write(handle, file, fileOffset: 0);
            RandomAccess.FlushToDisk(handle);
        }

        File.Move(path.TemporaryFile, path.File, overwrite: true);
        PhysicalFileSystem.Instance.SyncDirectory(path.ShardDirectory);
        return true;
    }

    private bool Remove(GrainStatePath path, string? expected)
    {
        Compare(path, expected, "cleared");
        if (File.Exists(path.File))
        {
            File.Delete(path.File);
            PhysicalFileSystem.Instance.SyncDirectory(path.ShardDirectory);
        }

        return true;
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
