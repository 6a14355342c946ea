using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Cluster.Tests.Groups;

/// <summary>
/// Grain storage outside of all silos, as a database is: it survives them, checks versions, and can be told to wait or fail.
/// </summary>
internal sealed class SharedGrainStorage : IGrainStorage
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, (string ETag, byte[] Data)> _rows = [];
    private long _versions;

    /// <summary>Awaited before a write takes effect.</summary>
    public Func<string, Task> BeforeWrite { get; set; } = _ => Task.CompletedTask;

    /// <summary>Awaited before a read.</summary>
    public Func<string, Task> BeforeRead { get; set; } = _ => Task.CompletedTask;

    /// <summary>The state names of all writes so far.</summary>
    public ConcurrentQueue<string> Writes { get; } = new();

    public string[] RowsOf(GrainId grainId)
    {
        lock (_gate)
        {
            return [.. _rows.Keys
                .Where(key => key.StartsWith($"{grainId}|", StringComparison.Ordinal)).Select(key => key.Split('|')[1]).Order()];
        }
    }

    public async Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        await BeforeRead(stateName);
        lock (_gate)
        {
            bool found = _rows.TryGetValue($"{grainId}|{stateName}", out (string ETag, byte[] Data) row);
            grainState.RecordExists = found;
            grainState.ETag = found ? row.ETag : null!;
            grainState.State = found ? JsonSerializer.Deserialize<T>(row.Data)! : Activator.CreateInstance<T>();
        }
    }

    public async Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        byte[] data = JsonSerializer.SerializeToUtf8Bytes(grainState.State);
        await BeforeWrite(stateName);
        lock (_gate)
        {
            Check(stateName, grainId, grainState.ETag);
            grainState.ETag = (++_versions).ToString(CultureInfo.InvariantCulture);
            grainState.RecordExists = true;
            _rows[$"{grainId}|{stateName}"] = (grainState.ETag, data);
        }

        Writes.Enqueue(stateName);
    }

    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        lock (_gate)
        {
            Check(stateName, grainId, grainState.ETag);
            _rows.Remove($"{grainId}|{stateName}");
            grainState.ETag = null!;
            grainState.RecordExists = false;
        }

        return Task.CompletedTask;
    }

    private void Check(string stateName, GrainId grainId, string? etag)
    {
        string? stored = _rows.TryGetValue($"{grainId}|{stateName}", out (string ETag, byte[] Data) row) ? row.ETag : null;
        if (stored != etag)
            throw new InconsistentStateException($"{stateName} of {grainId} has another version", stored ?? "none", etag ?? "none");
    }
}
