using System.Globalization;
using Orleans.Configuration;
using Orleans.Core;

namespace Orleans.Storage;

/// <summary>
/// Keeps states in the memory of the cluster, in a few grains: shared by all silos, and lost with the silo on which their grain
/// is. For development and tests.
/// </summary>
public class MemoryGrainStorage : IGrainStorage
{
    private readonly string _name;
    private readonly IMemoryStorageGrain[] _grains;
    private readonly IGrainStorageSerializer _serializer;

    internal MemoryGrainStorage(string name, MemoryGrainStorageOptions options, IGrainFactory grains, IGrainStorageSerializer defaultSerializer)
    {
        _name = name;
        _serializer = options.GrainStorageSerializer ?? defaultSerializer;
        _grains = [.. Enumerable.Range(0, options.NumStorageGrains).Select(i => grains.GetGrain<IMemoryStorageGrain>(i))];
    }

    public virtual async Task ReadStateAsync<T>(string grainType, GrainId grainId, IGrainState<T> grainState)
    {
        string key = KeyOf(grainType, grainId);
        MemoryRecord? record = await GrainOf(key).ReadAsync(key);
        T? state = record is null ? default : _serializer.Deserialize<T>(record.Data);
        grainState.ETag = record?.ETag;
        grainState.RecordExists = state is not null && record is not null;
        grainState.State = state is null || record is null ? EmptyState.Create<T>() : state;
    }

    public virtual async Task WriteStateAsync<T>(string grainType, GrainId grainId, IGrainState<T> grainState)
    {
        string key = KeyOf(grainType, grainId);
        byte[] data = _serializer.Serialize(grainState.State).ToArray();
        grainState.ETag = Check(key, grainState.ETag, await GrainOf(key).WriteAsync(key, grainState.ETag, data));
        grainState.RecordExists = true;
    }

    public virtual async Task ClearStateAsync<T>(string grainType, GrainId grainId, IGrainState<T> grainState)
    {
        string key = KeyOf(grainType, grainId);
        Check(key, grainState.ETag, await GrainOf(key).RemoveAsync(key, grainState.ETag));
        grainState.ETag = null;
        grainState.RecordExists = false;
        grainState.State = EmptyState.Create<T>();
    }

    private string? Check(string key, string? expected, MemoryOutcome outcome) => outcome.Accepted
        ? outcome.ETag
        : throw new InconsistentStateException(
            $"e-Tag mismatch in memory storage {_name} for {key}. Stored = {outcome.ETag ?? "null"} Received {expected ?? "null"}",
            outcome.ETag, expected);

    private string KeyOf(string stateName, GrainId grainId) => $"{_name}/{stateName}/{grainId}";

    private IMemoryStorageGrain GrainOf(string key) => _grains[StableHash.Of64(key) % (ulong)_grains.Length];
}

/// <summary>Holds a share of the memory of all <see cref="MemoryGrainStorage"/> providers.</summary>
[Alias("Orleans.Standin.IMemoryStorageGrain")]
internal interface IMemoryStorageGrain : IGrainWithIntegerKey
{
    Task<MemoryRecord?> ReadAsync(string key);

    Task<MemoryOutcome> WriteAsync(string key, string? etag, byte[] data);

    Task<MemoryOutcome> RemoveAsync(string key, string? etag);
}

[GenerateSerializer, Immutable]
internal sealed record MemoryRecord(string ETag, ReadOnlyMemory<byte> Data);

/// <param name="Accepted">The caller's version was the stored one.</param>
/// <param name="ETag">The new version, or the stored one when it was not accepted.</param>
[GenerateSerializer, Immutable]
internal readonly record struct MemoryOutcome(bool Accepted, string? ETag);

internal sealed class MemoryStorageGrain : Grain, IMemoryStorageGrain
{
    private readonly Dictionary<string, MemoryRecord> _records = new(StringComparer.Ordinal);
    private long _version;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        // Idle or not, its memory is all there is.
        this.DelayDeactivation(TimeSpan.MaxValue);
        return Task.CompletedTask;
    }

    public Task<MemoryRecord?> ReadAsync(string key) => Task.FromResult(_records.GetValueOrDefault(key));

    public Task<MemoryOutcome> WriteAsync(string key, string? etag, byte[] data)
    {
        string? stored = _records.GetValueOrDefault(key)?.ETag;
        if (stored != etag)
        {
            return Task.FromResult(new MemoryOutcome(false, stored));
        }

        // The run is part of the version: a grain that lost its memory must not give out an old version anew.
        string next = string.Create(CultureInfo.InvariantCulture, $"{++_version}-{GrainContext.ActivationId.Key:N}");
        _records[key] = new MemoryRecord(next, data);
        return Task.FromResult(new MemoryOutcome(true, next));
    }

    public Task<MemoryOutcome> RemoveAsync(string key, string? etag)
    {
        string? stored = _records.GetValueOrDefault(key)?.ETag;
        if (stored != etag)
        {
            return Task.FromResult(new MemoryOutcome(false, stored));
        }

        _records.Remove(key);
        return Task.FromResult(new MemoryOutcome(true, null));
    }
}
