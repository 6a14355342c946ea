using Arus.Grains;

namespace Arus.Kafka;

internal sealed partial record GatewayServices
{
    /// <exception cref="Exception">What the grain call threw.</exception>
    public async ValueTask<ClusterView> ViewAsync(KafkaListener listener) => ClusterView.Of(await Cluster.GetAsync(), listener.Name);

    /// <summary>Every topic, by name.</summary>
    /// <exception cref="Exception">What a call to the catalog threw.</exception>
    public async Task<TopicListing[]> ListTopicsAsync()
    {
        TopicListing[][] shards = await Parallel.MapAsync(
            [.. Enumerable.Range(0, TopicCatalog.Shards)], shard => Grains.GetGrain<ITopicCatalogGrain>(shard).ListAsync());
        return [.. shards.SelectMany(shard => shard).OrderBy(topic => topic.Name, StringComparer.Ordinal)];
    }

    /// <summary>Every topic by name, with its description or the error of asking for it; those that vanish meanwhile are left out.</summary>
    /// <exception cref="Exception">What a call to the catalog threw.</exception>
    public async Task<(TopicListing Listing, TopicDescription? Topic, ErrorCode Error)[]> DescribeAllTopicsAsync()
    {
        TopicListing[] listings = await ListTopicsAsync();
        (TopicListing, TopicDescription? Topic, ErrorCode Error)[] topics = await Parallel.MapAsync(listings, async listing =>
        {
            try
            {
                return (listing, await Topics.GetAsync(listing.Name, TopicCache.MetadataMaxAge), ErrorCode.None);
            }
            catch (Exception exception)
            {
                // One topic that cannot answer must not hide all others.
                return (listing, (TopicDescription?)null, Explain(exception, Asked.Metadata, "Describe", listing.Name));
            }
        });
        return [.. topics.Where(row => row.Topic is not null || row.Error != ErrorCode.None)];
    }

    /// <summary>The topic of a request on the data path, by id if <paramref name="id"/> is not null, and the error if there is none.</summary>
    public async ValueTask<(TopicDescription? Topic, ErrorCode Error)> ResolveAsync(string? name, Guid? id, Asked asked, string operation)
    {
        try
        {
            TopicDescription? topic = id is { } topicId
                ? await Topics.GetAsync(topicId, TopicCache.DataMaxAge)
                : await Topics.GetAsync(name!, TopicCache.DataMaxAge);
            return (topic, topic is not null ? ErrorCode.None : id is null ? ErrorCode.UnknownTopicOrPartition : ErrorCode.UnknownTopicId);
        }
        catch (Exception exception)
        {
            return (null, Explain(exception, asked, operation, name ?? id.ToString()!));
        }
    }
}
