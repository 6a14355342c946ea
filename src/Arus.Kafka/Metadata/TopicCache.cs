using System.Collections.Concurrent;
using Arus.Grains;

namespace Arus.Kafka;

/// <summary>
/// Descriptions of topics, so that requests on the data path need no grain call. Bounded; entries are short-lived, and dropped at the
/// first error that contradicts them. Topics that do not exist are not cached. Safe for use by any thread.
/// </summary>
/// <param name="image">Of a cluster, which tells without a call, and sooner, who leads; null on a single node.</param>
internal sealed class TopicCache(
    IGrainFactory grains, TimeProvider time, RateLimitedFailureLogger failures, ITopicImage? image = null)
{
    internal const int MaxEntries = 20_000;

    /// <summary>For the data path, where the partition itself refuses what is out of date.</summary>
    public static readonly TimeSpan DataMaxAge = TimeSpan.FromSeconds(5);

    /// <summary>For metadata: enough to make one call of many that come at the same time.</summary>
    public static readonly TimeSpan MetadataMaxAge = TimeSpan.FromMilliseconds(100);

    private readonly ConcurrentDictionary<string, Entry> _byName = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<Guid, string> _names = new();
    private long _changes;

    /// <summary>The topic if it is known and young enough.</summary>
    public TopicDescription? TryGet(string name, TimeSpan maxAge) =>
        maxAge > TimeSpan.Zero && image?.Find(name) is { } topic ? topic
            : _byName.TryGetValue(name, out Entry? entry) && entry.Description.IsCompletedSuccessfully
                && time.GetElapsedTime(entry.FetchedAt) < maxAge
                ? entry.Description.Result
            : null;

    /// <summary>The topic, or null when there is none of that name. Callers at the same time share one grain call.</summary>
    /// <exception cref="Exception">What the grain call threw.</exception>
    public ValueTask<TopicDescription?> GetAsync(string name, TimeSpan maxAge)
    {
        if (TryGet(name, maxAge) is { } known)
            return new ValueTask<TopicDescription?>(known);

        // Only valid names become grain keys.
        if (!TopicName.IsValid(name))
            return new ValueTask<TopicDescription?>((TopicDescription?)null);

        if (_byName.TryGetValue(name, out Entry? running) && !running.Description.IsCompleted)
            return new ValueTask<TopicDescription?>(running.Description);

        return new ValueTask<TopicDescription?>(FetchAsync(name));
    }

    /// <summary>The topic that an id stands for, or null when there is none, or none any more, with that id.</summary>
    /// <exception cref="Exception">What a grain call threw.</exception>
    public async ValueTask<TopicDescription?> GetAsync(Guid id, TimeSpan maxAge)
    {
        if (maxAge > TimeSpan.Zero && image?.Find(id) is { } known)
            return known;

        if (!_names.TryGetValue(id, out string? name))
        {
            name = await grains.GetGrain<ITopicCatalogGrain>(TopicCatalog.ShardOf(id)).FindNameAsync(id);
            if (name is null)
                return null;

            StoreName(id, name);
        }

        TopicDescription? topic = await GetAsync(name, maxAge);
        if (topic is not null && topic.Id != id)
        {
            // Deleted, and created anew since: once more, in case what is known is older than the id.
            Invalidate(name);
            topic = await GetAsync(name, TimeSpan.Zero);
        }

        if (topic is not null && topic.Id == id)
            return topic;

        _names.TryRemove(id, out _);
        return null;
    }

    /// <summary>How many topics were created, changed or deleted through this broker.</summary>
    public long Changes => Volatile.Read(ref _changes);

    /// <summary>Stores what an administrative call just answered.</summary>
    public void Set(TopicDescription topic)
    {
        Store(topic.Name, Task.FromResult<TopicDescription?>(topic));
        Interlocked.Increment(ref _changes);
    }

    /// <summary>An administrative call just deleted the topic.</summary>
    public void Remove(string name)
    {
        Invalidate(name);
        Interlocked.Increment(ref _changes);
    }

    public void Invalidate(string name) => _byName.TryRemove(name, out _);

    /// <summary>
    /// The topic of a request, by id if <paramref name="id"/> is not null, and the error if there is none.
    /// </summary>
    /// <param name="maxAge"><see cref="DataMaxAge"/>, unless the answer is all that keeps a dead id from reaching a new topic.</param>
    public async ValueTask<(TopicDescription? Topic, ErrorCode Error)> ResolveAsync(
        string? name, Guid? id, KafkaRequestContext context, TimeSpan? maxAge = null)
    {
        TimeSpan age = maxAge ?? DataMaxAge;
        try
        {
            TopicDescription? topic = id is { } topicId ? await GetAsync(topicId, age) : await GetAsync(name!, age);
            return (topic, topic is not null ? ErrorCode.None : id is null ? ErrorCode.UnknownTopicOrPartition : ErrorCode.UnknownTopicId);
        }
        catch (Exception exception)
        {
            return (null, context.MapAndLog(exception, name ?? id.ToString()!));
        }
    }

    /// <summary>Every topic, by name; those in a damaged shard of the catalog are left out, so that the others do not suffer.</summary>
    /// <exception cref="Exception">What a call to the catalog threw.</exception>
    public async Task<TopicListing[]> ListAsync()
    {
        TopicListing[][] shards = await GrainCalls.MapAsync([.. Enumerable.Range(0, TopicCatalog.Shards)], ListAsync);
        return [.. shards.SelectMany(shard => shard).OrderBy(topic => topic.Name, StringComparer.Ordinal)];
    }

    private async Task<TopicListing[]> ListAsync(int shard)
    {
        try
        {
            return await grains.GetGrain<ITopicCatalogGrain>(shard).ListAsync();
        }
        catch (Exception damage) when (damage.GetBaseException() is CorruptGrainStateException)
        {
            failures.MapAndLog(damage, ApiScope.Metadata, "List", $"the topics of catalog shard {shard}");
            return [];
        }
    }

    private async Task<TopicDescription?> FetchAsync(string name)
    {
        Task<TopicDescription?> call = grains.GetGrain<ITopicGrain>(name).DescribeAsync();
        Entry entry = Store(name, call);
        await ((Task)call).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (call.IsCompletedSuccessfully && call.Result is { } topic)
            StoreName(topic.Id, name);
        else
            _byName.TryRemove(new KeyValuePair<string, Entry>(name, entry));

        return await call;
    }

    private void StoreName(Guid id, string name)
    {
        Bound(_names);
        _names[id] = name;
    }

    private Entry Store(string name, Task<TopicDescription?> description)
    {
        Bound(_byName);
        var entry = new Entry(description, time.GetTimestamp());
        _byName[name] = entry;
        return entry;
    }

    // A cache that is full is emptied: what is in use comes back with one call each.
    private static void Bound<TKey, TValue>(ConcurrentDictionary<TKey, TValue> cache)
        where TKey : notnull
    {
        if (cache.Count >= MaxEntries)
            cache.Clear();
    }

    private sealed record Entry(Task<TopicDescription?> Description, long FetchedAt);
}
