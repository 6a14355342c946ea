using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Describes brokers and topics, and creates the topics of a request where configuration and client allow it.</summary>
internal sealed class MetadataHandler(
    IGrainFactory grains, KafkaListenerOptions options, ClusterCache clusterCache, TopicCache topicCache, AllTopics allTopics)
    : ApiHandler<MetadataRequest>(ApiScope.Metadata, "all topics")
{
    private const short MinVersionWithIds = 12;

    protected override async Task<IApiMessage?> HandleAsync(MetadataRequest request, KafkaRequestContext context)
    {
        ClusterView cluster = await context.TryAsync(
            "the cluster", async () => await clusterCache.ViewAsync(context.Listener), static (_, _) => ClusterView.Empty);
        if (request.Topics is null || (context.Version == 0 && request.Topics.Length == 0))
            return await DescribeAllAsync(request, cluster, context);

        if (context.Version < MinVersionWithIds && Array.Exists(request.Topics, topic => topic.Name is null || topic.TopicId != Guid.Empty))
        {
            throw new ArusException(
                ErrorCode.InvalidRequest, $"Topics are named by their ids since version {MinVersionWithIds}, and have names before.");
        }

        bool create = options.AutoCreateTopics && (context.Version < 4 || request.AllowAutoTopicCreation);
        MetadataRequest.MetadataRequestTopic[] topics = Select(request.Topics);
        return Respond(request, cluster, await GrainCalls.MapAsync(
            topics,
            topic => context.TryAsync(
                topic.Name ?? topic.TopicId.ToString(),
                () => DescribeAsync(topic, create, request, cluster),
                (error, _) => Fail(topic, error, request)),
            context.Gone));
    }

    /// <summary>
    /// The topics, each once. As in Kafka an id counts more than a name beside it, and where there are ids only topics that are named by
    /// one are described.
    /// </summary>
    private static MetadataRequest.MetadataRequestTopic[] Select(MetadataRequest.MetadataRequestTopic[] topics)
    {
        MetadataRequest.MetadataRequestTopic[] byId =
        [
            .. topics.Where(topic => topic.TopicId != Guid.Empty).DistinctBy(topic => topic.TopicId)
                .Select(topic => new MetadataRequest.MetadataRequestTopic { Name = null, TopicId = topic.TopicId }),
        ];
        return byId.Length > 0 ? byId : [.. topics.DistinctBy(topic => topic.Name)];
    }

    /// <summary>Without brokers, which a client would otherwise take for the cluster.</summary>
    protected override IApiMessage? Fail(MetadataRequest request, ErrorCode error, string message) =>
        request.Topics is null || error != ErrorCode.InvalidRequest ? null : new MetadataResponse
        {
            ControllerId = -1,
            ClusterAuthorizedOperations = AuthorizedOperations.NotRequested,
            ErrorCode = error,
            Topics = Array.ConvertAll(request.Topics, topic => new MetadataResponse.MetadataTopic
            {
                ErrorCode = error, Name = topic.Name ?? "", TopicId = topic.TopicId,
                TopicAuthorizedOperations = AuthorizedOperations.NotRequested,
            }),
        };

    public override long ReferencedBytesOf(IApiMessage response) => response is EncodedResponse encoded ? encoded.Length : 0;

    private async Task<IApiMessage> DescribeAllAsync(MetadataRequest request, ClusterView cluster, KafkaRequestContext context)
    {
        TopicSnapshot snapshot = await allTopics.GetAsync();
        var kind = new ResponseKind(
            context.Version, context.Listener.Name, request.IncludeTopicAuthorizedOperations, request.IncludeClusterAuthorizedOperations);
        return await snapshot.EncodeAsync(kind, cluster, () => Respond(request, cluster, Array.ConvertAll(
            snapshot.Rows,
            row => row.Topic is not null
                ? Describe(row.Topic, request, cluster)
                : Fail(new() { Name = row.Listing.Name, TopicId = row.Listing.Id }, row.Error, request))));
    }

    private static MetadataResponse Respond(MetadataRequest request, ClusterView cluster, MetadataResponse.MetadataTopic[] topics) => new()
    {
        Brokers = Array.ConvertAll(cluster.Nodes, node => new MetadataResponse.MetadataBroker
        {
            NodeId = node.Id, Host = node.Host, Port = node.Port, Rack = node.Rack,
        }),
        ClusterId = cluster.ClusterId,
        ControllerId = cluster.ControllerId,
        ClusterAuthorizedOperations =
            request.IncludeClusterAuthorizedOperations ? AuthorizedOperations.Cluster : AuthorizedOperations.NotRequested,
        Topics = topics,
    };

    private async Task<MetadataResponse.MetadataTopic> DescribeAsync(
        MetadataRequest.MetadataRequestTopic requested, bool create, MetadataRequest request, ClusterView cluster)
    {
        TopicDescription? topic = requested.Name is null
            ? await topicCache.GetAsync(requested.TopicId, TopicCache.MetadataMaxAge)
            : await topicCache.GetAsync(requested.Name, TopicCache.MetadataMaxAge);
        return topic is not null ? Describe(topic, request, cluster)
            : requested.Name is null ? Fail(requested, ErrorCode.UnknownTopicId, request)
            : !TopicName.IsValid(requested.Name) ? Fail(requested, ErrorCode.InvalidTopicException, request)
            : !create || TopicName.IsInternal(requested.Name) || TopicName.IsReserved(requested.Name)
                ? Fail(requested, ErrorCode.UnknownTopicOrPartition, request)
            : Describe(await CreateAsync(requested.Name), request, cluster);
    }

    private async Task<TopicDescription> CreateAsync(string name)
    {
        ITopicGrain grain = grains.GetGrain<ITopicGrain>(name);
        TopicDescription? topic;
        try
        {
            topic = await grain.CreateAsync(new TopicSpec(-1, -1, null, [], false));
        }
        catch (ArusException exception) when (exception.Code == ErrorCode.TopicAlreadyExists)
        {
            // Created concurrently; use it.
            topic = await grain.DescribeAsync()
                ?? throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"Topic {name} was deleted just now.");
        }

        topicCache.Set(topic);
        return topic;
    }

    private static MetadataResponse.MetadataTopic Describe(TopicDescription topic, MetadataRequest request, ClusterView cluster) => new()
    {
        Name = topic.Name,
        TopicId = topic.Id,
        IsInternal = topic.IsInternal,
        TopicAuthorizedOperations =
            request.IncludeTopicAuthorizedOperations ? AuthorizedOperations.Topic : AuthorizedOperations.NotRequested,
        Partitions = Array.ConvertAll(topic.Partitions, partition =>
        {
            (int leader, ErrorCode error) = cluster.LeaderOf(partition);
            return new MetadataResponse.MetadataPartition
            {
                ErrorCode = error,
                PartitionIndex = partition.Partition,
                LeaderId = leader,
                LeaderEpoch = partition.LeaderEpoch,
                ReplicaNodes = cluster.Announce(partition.Replicas),
                IsrNodes = cluster.Announce(partition.Isr),
                OfflineReplicas = cluster.Offline(partition.Replicas),
            };
        }),
    };

    private static MetadataResponse.MetadataTopic Fail(
        MetadataRequest.MetadataRequestTopic requested, ErrorCode error, MetadataRequest request) => new()
        {
            ErrorCode = error,
            Name = requested.Name,
            TopicId = requested.TopicId,

            // Without authorization all is allowed to a topic of that name, should there be one.
            TopicAuthorizedOperations = request.IncludeTopicAuthorizedOperations && requested.Name is not null
                ? AuthorizedOperations.Topic
                : AuthorizedOperations.NotRequested,
        };
}
