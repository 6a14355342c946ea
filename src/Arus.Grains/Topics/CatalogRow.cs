using System.Diagnostics;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>
/// One row of a catalog shard in memory, used by turns of its grain only. Writes are coalesced: what changes during a write goes with the
/// next, which all who wait for it share.
/// </summary>
internal sealed class CatalogRow(IGrainStorage storage, GrainId shard, string rowName)
{
    private readonly GrainState<TopicCatalogRow> _row = new();
    private long _changed;
    private long _written;
    private Task? _writing;

    public Dictionary<string, TopicListing> Listed { get; } = new(StringComparer.Ordinal);

    public Dictionary<Guid, PendingTopic> Pending { get; } = [];

    public bool IsDirty => _changed > _written;

    public async Task ReadAsync(DateTimeOffset now)
    {
        await storage.ReadStateAsync(rowName, shard, _row);
        TopicCatalogRow row = _row.State ?? new TopicCatalogRow();
        foreach (TopicListing topic in row.Listed)
            Listed[topic.Name] = topic;

        foreach (TopicListing topic in row.Pending)
            Pending[topic.Id] = new PendingTopic(topic, now);
    }

    /// <summary>Call it after every change.</summary>
    public void MarkDirty() => _changed++;

    /// <summary>Completes when all changes made so far are durable.</summary>
    public async Task WriteAsync()
    {
        long wanted = _changed;
        while (_written < wanted)
            await (_writing is { IsCompleted: false } underWay ? underWay : _writing = WriteOnceAsync());
    }

    private async Task WriteOnceAsync()
    {
        long changed = _changed;
        _row.State = new TopicCatalogRow { Listed = [.. Listed.Values], Pending = [.. Pending.Values.Select(pending => pending.Topic)] };
        await storage.WriteStateAsync(rowName, shard, _row);
        Debug.Assert(changed >= _written, "One write is under way at a time.");
        _written = changed;
    }
}

/// <param name="Since">When it became so, or was read.</param>
internal readonly record struct PendingTopic(TopicListing Topic, DateTimeOffset Since);

/// <summary>One of a shard's many rows, so that a new topic rewrites a few kilobytes however many there are.</summary>
[GenerateSerializer, Alias("arus.TopicCatalogRow")]
internal sealed class TopicCatalogRow
{
    [Id(0)]
    public TopicListing[] Listed { get; set; } = [];

    /// <summary>Being created or deleted when this was written: the topic itself knows which.</summary>
    [Id(1)]
    public TopicListing[] Pending { get; set; } = [];
}
