using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using Arus.Grains;

namespace Arus.Client;

/// <summary>A cache of topics: each is read when first needed, and in the background once too old for its user. Thread-safe.</summary>
internal sealed class TopicMetadata(IGrainFactory grains, GrainRetry retry, TimeProvider time)
{
    private readonly ConcurrentDictionary<string, Entry> _topics = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Lazy<Task<Grains.TopicDescription?>>> _reads = new(StringComparer.Ordinal);

    /// <summary>The cached topic; one older than <paramref name="maxAge"/> is returned too, and read again in the background.</summary>
    public bool TryGet(string topic, TimeSpan maxAge, [NotNullWhen(true)] out Grains.TopicDescription? description)
    {
        description = _topics.TryGetValue(topic, out Entry? entry) ? entry.Description : null;

        // If this fails, the cached description stays, and the failure shows when the topic is used.
        if (entry is not null && time.GetElapsedTime(entry.ReadAt) > maxAge)
            _ = ReadOnceAsync(topic);

        return description is not null;
    }

    /// <summary>
    /// The id of the topic as it was read last, by which a call cannot reach another topic that has the name by then; empty, for whichever
    /// has the name, when it was not.
    /// </summary>
    public Guid IdOf(string topic) => _topics.TryGetValue(topic, out Entry? entry) ? entry.Description.Id : Guid.Empty;

    /// <summary>The topic as it is now.</summary>
    /// <returns>Null when there is none.</returns>
    public async Task<Grains.TopicDescription?> ReadAsync(string topic, CancellationToken cancellationToken) =>
        await ReadOnceAsync(topic).WaitAsync(cancellationToken).ConfigureAwait(false);

    /// <summary>The cached topic, or else the topic as it is now.</summary>
    /// <exception cref="ArusException">
    /// <see cref="ErrorCode.UnknownTopicOrPartition"/> or <see cref="ErrorCode.InvalidTopicException"/>.
    /// </exception>
    public async ValueTask<Grains.TopicDescription> GetAsync(string topic, TimeSpan maxAge, CancellationToken cancellationToken)
    {
        if (TryGet(topic, maxAge, out Grains.TopicDescription? known))
            return known;

        ValidationResult name = TopicName.Validate(topic);
        if (!name.IsOk)
            throw new ArusException(name.Error, name.Message!);

        return await ReadAsync(topic, cancellationToken).ConfigureAwait(false)
            ?? throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"There is no topic '{topic}'.");
    }

    /// <inheritdoc cref="PartitionCountSource"/>
    public async ValueTask<IReadOnlyDictionary<string, int>> GetPartitionCountsAsync(
        IReadOnlyCollection<string> topics, CancellationToken cancellationToken)
    {
        Grains.TopicDescription?[] found = await Task.WhenAll(topics.Distinct(StringComparer.Ordinal).Where(TopicName.IsValid)
            .Select(topic => ReadAsync(topic, cancellationToken))).ConfigureAwait(false);
        return found.OfType<Grains.TopicDescription>().ToDictionary(d => d.Name, d => d.Partitions.Length, StringComparer.Ordinal);
    }

    /// <summary>The names of all topics as they are now, without internal ones.</summary>
    public async ValueTask<IReadOnlyList<string>> ListAsync(CancellationToken cancellationToken)
    {
        Grains.TopicListing[] topics = await ArusAdmin.AllShardsAsync(
            retry, shard => grains.GetGrain<ITopicCatalogGrain>(shard).ListAsync(), cancellationToken).ConfigureAwait(false);
        return [.. topics.Where(topic => !topic.IsInternal).Select(topic => topic.Name)];
    }

    private Task<Grains.TopicDescription?> ReadOnceAsync(string topic) =>
        _reads.GetOrAdd(topic, name => new Lazy<Task<Grains.TopicDescription?>>(() => ReadAndForgetAsync(name))).Value;

    private async Task<Grains.TopicDescription?> ReadAndForgetAsync(string topic)
    {
        try
        {
            Grains.TopicDescription? description = await retry.CallAsync(
                () => grains.GetGrain<ITopicGrain>(topic).DescribeAsync(), CancellationToken.None).ConfigureAwait(false);
            if (description is null)
                _topics.TryRemove(topic, out _);
            else
                _topics[topic] = new Entry(description, time.GetTimestamp());

            return description;
        }
        finally
        {
            _reads.TryRemove(topic, out _);
        }
    }

    private sealed record Entry(Grains.TopicDescription Description, long ReadAt);
}
