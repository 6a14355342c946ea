using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using Arus.Grains;

namespace Arus.Client;

/// <summary>
/// What the client remembers of topics. A topic is read from its grain when it is first needed, and again in the background once
/// it is older than its user allows. Thread-safe.
/// </summary>
internal sealed class TopicMetadata(IGrainFactory grains, GrainRetry retry, TimeProvider time) : ITopicPartitionSource
{
    private readonly ConcurrentDictionary<string, Entry> topics = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Task<TopicDescription?>> reads = new(StringComparer.Ordinal);
    private readonly Lock readsGate = new();

    /// <summary>What is remembered; when that is too old it is answered all the same, and read anew in the background.</summary>
    public bool TryGet(string topic, TimeSpan maxAge, [NotNullWhen(true)] out TopicDescription? description)
    {
        description = null;
        if (!topics.TryGetValue(topic, out Entry? entry))
        {
            return false;
        }

        if (time.GetElapsedTime(entry.ReadAt) > maxAge)
        {
            // Its failure shows when the topic is used: what is remembered stays until something better is known.
            _ = ReadOnceAsync(topic);
        }

        description = entry.Description;
        return true;
    }

    /// <summary>The topic as it is now.</summary>
    /// <returns>Null when there is none.</returns>
    public async Task<TopicDescription?> ReadAsync(string topic, CancellationToken cancellationToken) =>
        await ReadOnceAsync(topic).WaitAsync(cancellationToken).ConfigureAwait(false);

    /// <summary>What is remembered, or else the topic as it is now.</summary>
    /// <exception cref="ArusException"><see cref="ErrorCode.UnknownTopicOrPartition"/> or <see cref="ErrorCode.InvalidTopicException"/>.</exception>
    public async ValueTask<TopicDescription> GetAsync(string topic, TimeSpan maxAge, CancellationToken cancellationToken)
    {
        if (TryGet(topic, maxAge, out TopicDescription? known))
        {
            return known;
        }

        ValidationResult name = TopicName.Validate(topic);
        if (!name.IsOk)
        {
            throw new ArusException(name.Error, name.Message!);
        }

        return await ReadAsync(topic, cancellationToken).ConfigureAwait(false)
            ?? throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"There is no topic '{topic}'.");
    }

    public async ValueTask<IReadOnlyDictionary<string, int>> GetPartitionCountsAsync(
        IReadOnlyCollection<string> topics, CancellationToken cancellationToken)
    {
        TopicDescription?[] found = await Task.WhenAll(topics.Distinct(StringComparer.Ordinal).Where(TopicName.IsValid)
            .Select(topic => ReadAsync(topic, cancellationToken))).ConfigureAwait(false);
        return found.OfType<TopicDescription>().ToDictionary(d => d.Name, d => d.Partitions.Length, StringComparer.Ordinal);
    }

    /// <summary>The names of all topics as they are now, but for internal ones.</summary>
    public async ValueTask<IReadOnlyList<string>> ListAsync(CancellationToken cancellationToken)
    {
        TopicListing[][] shards = await Task.WhenAll(Enumerable.Range(0, TopicCatalog.Shards).Select(
            shard => retry.CallAsync(() => grains.GetGrain<ITopicCatalogGrain>(shard).ListAsync(), cancellationToken))).ConfigureAwait(false);
        return [.. shards.SelectMany(listed => listed).Where(topic => !topic.IsInternal).Select(topic => topic.Name)];
    }

    private Task<TopicDescription?> ReadOnceAsync(string topic)
    {
        lock (readsGate)
        {
            if (!reads.TryGetValue(topic, out Task<TopicDescription?>? read))
            {
                reads[topic] = read = ReadAndForgetAsync(topic);
            }

            return read;
        }
    }

    private async Task<TopicDescription?> ReadAndForgetAsync(string topic)
    {
        // Elsewhere, so that the read is in the dictionary before it is taken out again.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            TopicDescription? description =
                await retry.CallAsync(() => grains.GetGrain<ITopicGrain>(topic).DescribeAsync(), CancellationToken.None).ConfigureAwait(false);
            if (description is null)
            {
                topics.TryRemove(topic, out _);
            }
            else
            {
                topics[topic] = new Entry(description, time.GetTimestamp());
            }

            return description;
        }
        finally
        {
            lock (readsGate)
            {
                reads.Remove(topic);
            }
        }
    }

    private sealed record Entry(TopicDescription Description, long ReadAt);
}
