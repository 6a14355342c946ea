using Orleans.Concurrency;

namespace Arus.Grains;

/// <summary>One shard of the list of topics. The key is the shard, 0 to <see cref="TopicCatalog.Shards"/> - 1.</summary>
[Alias("arus.ITopicCatalogGrain")]
public interface ITopicCatalogGrain : IGrainWithIntegerKey
{
    /// <summary>
    /// Notes, durably, that a topic is being created or deleted: it is listed no more or not yet. Should its creator or deleter die,
    /// the shard asks the topic itself whether it exists.
    /// </summary>
    [Alias("Prepare"), AlwaysInterleave]
    Task PrepareAsync(TopicListing topic);

    /// <summary>Lists a topic that exists durably, or changes its listing.</summary>
    [Alias("Add"), AlwaysInterleave]
    Task AddAsync(TopicListing topic);

    /// <summary>Forgets a topic that exists no more; nothing happens when there is none of that name and id.</summary>
    [Alias("Remove"), AlwaysInterleave]
    Task RemoveAsync(string name, Guid id);

    /// <summary>
    /// A topic of this shard, listed or being created or deleted, whose name collides with this one (<see cref="TopicName.Collide"/>). A
    /// listed one is told rather than another.
    /// </summary>
    [Alias("FindCollision"), AlwaysInterleave]
    Task<CollidingTopic?> FindCollisionAsync(string name);

    [Alias("List"), AlwaysInterleave]
    Task<TopicListing[]> ListAsync();

    /// <summary>The name that an id stands for, or null. Ask the shard that <see cref="TopicCatalog.ShardOf(Guid)"/> names.</summary>
    [Alias("FindName"), AlwaysInterleave]
    Task<string?> FindNameAsync(Guid id);
}

/// <param name="IsPending">It is being created or deleted.</param>
[GenerateSerializer, Immutable, Alias("arus.CollidingTopic")]
public sealed record CollidingTopic(string Name, bool IsPending);

[GenerateSerializer, Immutable, Alias("arus.TopicListing")]
public sealed record TopicListing(string Name, Guid Id, int Partitions, bool IsInternal);

/// <summary>
/// How topics are spread over catalog shards. A topic's id carries its shard in its last byte, so that an id finds its topic
/// without a second index that could disagree with the first.
/// </summary>
public static class TopicCatalog
{
    /// <summary>Frozen: topics on disk are spread by it.</summary>
    public const int Shards = 16;

    public static int ShardOf(string topicName) => (int)(Hash(topicName) % Shards);

    /// <summary>Which of a shard's <paramref name="rows"/> a topic is kept in. Frozen like <see cref="Shards"/>.</summary>
    public static int RowOf(string topicName, int rows) => (int)(Hash(topicName) / Shards % (uint)rows);

    private static uint Hash(string topicName)
    {
        // FNV-1a over UTF-16 units: stable between processes, unlike string.GetHashCode.
        uint hash = 2166136261;
        foreach (char c in topicName)
            hash = (hash ^ c) * 16777619;

        return hash;
    }

    public static int ShardOf(Guid topicId) => topicId.ToByteArray(bigEndian: true)[15] % Shards;

    /// <summary>Makes <paramref name="random"/> the id of a topic of that name.</summary>
    public static Guid IdFor(string topicName, Guid random)
    {
        byte[] bytes = random.ToByteArray(bigEndian: true);
        bytes[15] = (byte)((bytes[15] & ~(Shards - 1)) | ShardOf(topicName));
        return new Guid(bytes, bigEndian: true);
    }
}
