using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <inheritdoc cref="ITopicCatalogGrain"/>
/// <remarks>
/// Every call interleaves: a call waits for its row's write without holding a turn, and many share one write. An entry whose creation or
/// deletion was cut short is settled by asking the topic: before the first listing, and periodically.
/// </remarks>
internal sealed class TopicCatalogGrain(
    [FromKeyedServices(StorageNames.Metadata)] IGrainStorage storage, TimeProvider time, ILogger<TopicCatalogGrain> logger)
    : Grain, ITopicCatalogGrain
{
    /// <summary>Frozen: topics are assigned to rows on disk by it.</summary>
    private const int RowCount = 64;

    private const int MaxConcurrentCalls = 32;

    /// <summary>The topic is asked about a creation or deletion that takes longer than this.</summary>
    private static readonly TimeSpan PendingTimeout = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan SettleInterval = TimeSpan.FromSeconds(5);

    private readonly CatalogRow[] _rows = new CatalogRow[RowCount];
    private readonly Dictionary<Guid, string> _names = [];
    private TopicListing[]? _list;
    private Task? _settled;

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        GrainId shard = this.GetGrainId();
        for (int i = 0; i < RowCount; i++)
            _rows[i] = new CatalogRow(storage, shard, string.Create(CultureInfo.InvariantCulture, $"topics-{i:D2}"));

        await Task.WhenAll(_rows.Select(row => row.ReadAsync(DateTimeOffset.MinValue)));
        foreach (TopicListing topic in _rows.SelectMany(row => row.Listed.Values))
            _names[topic.Id] = topic.Name;

        this.RegisterGrainTimer(
            TickAsync, new GrainTimerCreationOptions { DueTime = SettleInterval, Period = SettleInterval, Interleave = true });
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken) => await WriteDirtyAsync();

    public Task PrepareAsync(TopicListing topic)
    {
        CatalogRow row = RowOf(topic.Name);
        if (row.Listed.TryGetValue(topic.Name, out TopicListing? listed) && listed.Id == topic.Id)
            RemoveListing(row, topic);

        row.Pending[topic.Id] = new PendingTopic(topic, time.GetUtcNow());
        row.MarkDirty();
        return SaveAsync(row);
    }

    public Task AddAsync(TopicListing topic)
    {
        CatalogRow row = RowOf(topic.Name);
        AddListing(row, topic);

        // A pending entry is as good as a listed one after a crash, since it is settled before the first listing.
        return row.Pending.Remove(topic.Id) ? Task.CompletedTask : SaveAsync(row);
    }

    public Task RemoveAsync(string name, Guid id)
    {
        CatalogRow row = RowOf(name);
        bool pending = row.Pending.Remove(id);
        bool listed = row.Listed.TryGetValue(name, out TopicListing? topic) && topic.Id == id;
        if (listed)
            RemoveListing(row, topic!);

        if (!pending && !listed)
            return Task.CompletedTask;

        row.MarkDirty();
        return listed ? SaveAsync(row) : Task.CompletedTask;
    }

    public async Task<CollidingTopic?> FindCollisionAsync(string name)
    {
        await (_settled ??= SettleAsync());
        string? listed = _names.Values.FirstOrDefault(other => TopicName.Collide(name, other));
        if (listed is not null)
            return new CollidingTopic(listed, IsPending: false);

        string? pending = _rows.SelectMany(row => row.Pending.Values).Select(pending => pending.Topic.Name)
            .FirstOrDefault(other => TopicName.Collide(name, other));
        return pending is null ? null : new CollidingTopic(pending, IsPending: true);
    }

    public async Task<TopicListing[]> ListAsync()
    {
        await (_settled ??= SettleAsync());
        return _list ??= [.. _rows.SelectMany(row => row.Listed.Values).OrderBy(topic => topic.Name, StringComparer.Ordinal)];
    }

    public async Task<string?> FindNameAsync(Guid id)
    {
        await (_settled ??= SettleAsync());
        return _names.GetValueOrDefault(id);
    }

    private async Task TickAsync(CancellationToken cancellationToken)
    {
        await (_settled = SettleAsync());
        await WriteDirtyAsync();
    }

    private async Task WriteDirtyAsync()
    {
        foreach (CatalogRow row in _rows.Where(row => row.IsDirty))
            await SaveAsync(row);
    }

    /// <summary>Asks the topics that have been pending for too long what became of them.</summary>
    private async Task SettleAsync()
    {
        DateTimeOffset before = time.GetUtcNow() - PendingTimeout;
        TopicListing[] overdue =
        [
            .. _rows.SelectMany(row => row.Pending.Values)
                .Where(pending => pending.Since < before)
                .Select(pending => pending.Topic),
        ];
        foreach (TopicListing[] some in overdue.Chunk(MaxConcurrentCalls))
            await Task.WhenAll(some.Select(SettleAsync));
    }

    private async Task SettleAsync(TopicListing pending)
    {
        TopicDescription? topic;
        try
        {
            topic = await GrainFactory.GetGrain<ITopicGrain>(pending.Name).DescribeAsync();
        }
        catch (Exception e) when (e is OrleansException or TimeoutException or IOException)
        {
            logger.LogWarning(
                "Topic {Topic} could not be asked whether it exists and stays unlisted for now: {Reason}", pending.Name, e.Message);
            return;
        }

        CatalogRow row = RowOf(pending.Name);
        if (!row.Pending.Remove(pending.Id))
            return;

        if (topic is not null && topic.Id == pending.Id)
            AddListing(row, pending with { Partitions = topic.Partitions.Length });

        row.MarkDirty();
    }

    private async Task SaveAsync(CatalogRow row)
    {
        try
        {
            await row.WriteAsync();
        }
        catch
        {
            // Most likely another activation of this shard wrote the row. The next activation reads it anew.
            DeactivateOnIdle();
            throw;
        }
    }

    private void AddListing(CatalogRow row, TopicListing topic)
    {
        row.Listed[topic.Name] = topic;
        row.MarkDirty();
        _names[topic.Id] = topic.Name;
        _list = null;
    }

    private void RemoveListing(CatalogRow row, TopicListing topic)
    {
        row.Listed.Remove(topic.Name);
        _names.Remove(topic.Id);
        _list = null;
    }

    /// <summary>The shard took the hash's remainder, so the row takes what is left of it.</summary>
    private CatalogRow RowOf(string topicName) => _rows[TopicCatalog.RowOf(topicName, RowCount)];
}
