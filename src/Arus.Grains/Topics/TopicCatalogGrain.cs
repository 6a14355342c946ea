using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <inheritdoc cref="ITopicCatalogGrain"/>
/// <remarks>
/// Every call interleaves: a call waits for its row's write without holding a turn, and many share one write. An entry whose
/// creator or deleter died is settled by asking the topic: before the first listing, and then every so often.
/// </remarks>
internal sealed class TopicCatalogGrain(
    [FromKeyedServices(StorageNames.Metadata)] IGrainStorage storage, TimeProvider time, ILogger<TopicCatalogGrain> logger)
    : Grain, ITopicCatalogGrain
{
    /// <summary>Frozen: rows on disk are spread by it.</summary>
    private const int Rows = 64;

    private const int AskedAtOnce = 32;

    /// <summary>A creation or deletion that takes longer than this is looked into.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan s_tick = TimeSpan.FromSeconds(5);

    private readonly CatalogBucket[] _buckets = new CatalogBucket[Rows];
    private readonly Dictionary<Guid, string> _names = [];
    private TopicListing[]? _list;
    private Task? _settled;

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        GrainId shard = this.GetGrainId();
        DateTimeOffset longAgo = DateTimeOffset.MinValue;
        for (int i = 0; i < Rows; i++)
        {
            _buckets[i] = new CatalogBucket(storage, shard, string.Create(CultureInfo.InvariantCulture, $"topics-{i:D2}"));
        }

        await Task.WhenAll(_buckets.Select(bucket => bucket.ReadAsync(longAgo)));
        foreach (TopicListing topic in _buckets.SelectMany(bucket => bucket.Listed.Values))
        {
            _names[topic.Id] = topic.Name;
        }

        this.RegisterGrainTimer(TickAsync, new GrainTimerCreationOptions { DueTime = s_tick, Period = s_tick, Interleave = true });
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken) => await WriteDirtyAsync();

    public Task PrepareAsync(TopicListing topic)
    {
        CatalogBucket bucket = BucketOf(topic.Name);
        if (bucket.Listed.TryGetValue(topic.Name, out TopicListing? listed) && listed.Id == topic.Id)
        {
            Unlist(bucket, topic);
        }

        bucket.Pending[topic.Id] = new PendingTopic(topic, time.GetUtcNow());
        bucket.MarkDirty();
        return SaveAsync(bucket);
    }

    public Task AddAsync(TopicListing topic)
    {
        CatalogBucket bucket = BucketOf(topic.Name);
        List(bucket, topic);

        // A pending entry is as good as a listed one after a crash, since it is settled before the first listing.
        return bucket.Pending.Remove(topic.Id) ? Task.CompletedTask : SaveAsync(bucket);
    }

    public Task RemoveAsync(string name, Guid id)
    {
        CatalogBucket bucket = BucketOf(name);
        bool pending = bucket.Pending.Remove(id);
        bool listed = bucket.Listed.TryGetValue(name, out TopicListing? topic) && topic.Id == id;
        if (listed)
        {
            Unlist(bucket, topic!);
        }

        if (!pending && !listed)
        {
            return Task.CompletedTask;
        }

        bucket.MarkDirty();
        return listed ? SaveAsync(bucket) : Task.CompletedTask;
    }

    public async Task<TopicListing[]> ListAsync()
    {
        await (_settled ??= SettleAsync());
        return _list ??= [.. _buckets.SelectMany(bucket => bucket.Listed.Values).OrderBy(topic => topic.Name, StringComparer.Ordinal)];
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
        foreach (CatalogBucket bucket in _buckets)
        {
            if (bucket.IsDirty)
            {
                await SaveAsync(bucket);
            }
        }
    }

    /// <summary>Asks the topics that have been pending for too long what became of them.</summary>
    private async Task SettleAsync()
    {
        DateTimeOffset before = time.GetUtcNow() - s_patience;
        TopicListing[] overdue =
        [
            .. _buckets.SelectMany(bucket => bucket.Pending.Values).Where(pending => pending.Since < before).Select(pending => pending.Topic),
        ];
        foreach (TopicListing[] some in overdue.Chunk(AskedAtOnce))
        {
            await Task.WhenAll(some.Select(SettleAsync));
        }
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
            logger.LogWarning("Topic {Topic} could not be asked whether it exists and stays unlisted for now: {Reason}", pending.Name, e.Message);
            return;
        }

        CatalogBucket bucket = BucketOf(pending.Name);
        if (!bucket.Pending.Remove(pending.Id))
        {
            return;
        }

        if (topic is not null && topic.Id == pending.Id)
        {
            List(bucket, pending with { Partitions = topic.Partitions.Length });
        }

        bucket.MarkDirty();
    }

    private async Task SaveAsync(CatalogBucket bucket)
    {
        try
        {
            await bucket.WriteAsync();
        }
        catch
        {
            // Most likely another activation of this shard wrote the row. The next activation reads it anew.
            DeactivateOnIdle();
            throw;
        }
    }

    private void List(CatalogBucket bucket, TopicListing topic)
    {
        bucket.Listed[topic.Name] = topic;
        bucket.MarkDirty();
        _names[topic.Id] = topic.Name;
        _list = null;
    }

    private void Unlist(CatalogBucket bucket, TopicListing topic)
    {
        bucket.Listed.Remove(topic.Name);
        _names.Remove(topic.Id);
        _list = null;
    }

    /// <summary>The shard took the hash's remainder, so the row takes what is left of it.</summary>
    private CatalogBucket BucketOf(string topicName) => _buckets[TopicCatalog.RowOf(topicName, Rows)];
}
