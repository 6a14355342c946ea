using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Describes brokers and topics, and creates topics that are asked for where configuration and client allow it.</summary>
internal sealed class MetadataHandler(GatewayServices services) : ApiHandler<MetadataRequest>
{
    public override RequestOrdering Ordering => RequestOrdering.Concurrent;

    protected override async Task<IApiMessage?> HandleAsync(MetadataRequest request, RequestContext context)
    {
        ClusterView cluster;
        try
        {
            cluster = await services.ViewAsync(context.Listener);
        }
        catch (Exception exception)
        {
            services.Explain(exception, Asked.Metadata, "Metadata", "the cluster");
            cluster = ClusterView.Empty;
        }

        bool all = request.Topics is null || (context.Version == 0 && request.Topics.Length == 0);
        return new MetadataResponse
        {
            Brokers = [.. cluster.Nodes.Select(node => new MetadataResponse.MetadataBroker
            {
                NodeId = node.Id, Host = node.Host, Port = node.Port, Rack = node.Rack,
            })],
            ClusterId = cluster.ClusterId,
            ControllerId = cluster.ControllerId,
            ClusterAuthorizedOperations = request.IncludeClusterAuthorizedOperations ? AuthorizedOperations.Cluster : AuthorizedOperations.NotAsked,
            Topics = all ? await DescribeAllAsync(request, cluster) : await DescribeAsync(request, cluster, context.Version),
        };
    }

    private async Task<MetadataResponse.MetadataTopic[]> DescribeAllAsync(MetadataRequest request, ClusterView cluster)
    {
        try
        {
            return [.. (await services.DescribeAllTopicsAsync()).Select(row => row.Topic is not null
                ? Describe(row.Topic, request, cluster)
                : Fail(new() { Name = row.Listing.Name, TopicId = row.Listing.Id }, row.Error))];
        }
        catch (Exception exception)
        {
            throw services.NoAnswer(exception, "Metadata", "all topics");
        }
    }

    private Task<MetadataResponse.MetadataTopic[]> DescribeAsync(MetadataRequest request, ClusterView cluster, short version)
    {
        bool create = services.Options.AutoCreateTopics && (version < 4 || request.AllowAutoTopicCreation);
        return Parallel.MapAsync(request.Topics!, topic => DescribeAsync(topic, create, request, cluster));
    }

    private async Task<MetadataResponse.MetadataTopic> DescribeAsync(
        MetadataRequest.MetadataRequestTopic asked, bool create, MetadataRequest request, ClusterView cluster)
    {
        try
        {
            TopicDescription? topic = asked.Name is null
                ? await services.Topics.GetAsync(asked.TopicId, TopicCache.MetadataMaxAge)
                : await services.Topics.GetAsync(asked.Name, TopicCache.MetadataMaxAge);
            if (topic is not null)
            {
                return Describe(topic, request, cluster);
            }

            return asked.Name is null ? Fail(asked, ErrorCode.UnknownTopicId)
                : !TopicName.IsValid(asked.Name) ? Fail(asked, ErrorCode.InvalidTopicException)
                : !create ? Fail(asked, ErrorCode.UnknownTopicOrPartition)
                : Describe(await CreateAsync(asked.Name), request, cluster);
        }
        catch (Exception exception)
        {
            return Fail(asked, services.Explain(exception, Asked.Metadata, "Metadata", asked.Name ?? asked.TopicId.ToString()));
        }
    }

    private async Task<TopicDescription> CreateAsync(string name)
    {
        ITopicGrain grain = services.Grains.GetGrain<ITopicGrain>(name);
        TopicDescription? topic;
        try
        {
            topic = await grain.CreateAsync(new TopicSpec(-1, -1, null, [], false));
        }
        catch (ArusException exception) when (exception.Code == ErrorCode.TopicAlreadyExists)
        {
            // Somebody else was faster, which is as well.
            topic = await grain.DescribeAsync() ?? throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"Topic {name} was deleted just now.");
        }

        services.Topics.Set(topic);
        return topic;
    }

    private static MetadataResponse.MetadataTopic Describe(TopicDescription topic, MetadataRequest request, ClusterView cluster) => new()
    {
        Name = topic.Name,
        TopicId = topic.Id,
        IsInternal = topic.IsInternal,
        TopicAuthorizedOperations = request.IncludeTopicAuthorizedOperations ? AuthorizedOperations.Topic : AuthorizedOperations.NotAsked,
        Partitions = [.. topic.Partitions.Select(partition => Describe(partition, cluster))],
    };

    private static MetadataResponse.MetadataPartition Describe(PartitionAssignment partition, ClusterView cluster)
    {
        (int leader, ErrorCode error) = cluster.LeaderOf(partition);
        return new MetadataResponse.MetadataPartition
        {
            ErrorCode = error,
            PartitionIndex = partition.Partition,
            LeaderId = leader,
            LeaderEpoch = partition.LeaderEpoch,
            ReplicaNodes = partition.Replicas,
            IsrNodes = partition.Isr,
            OfflineReplicas = cluster.Offline(partition.Replicas),
        };
    }

    private static MetadataResponse.MetadataTopic Fail(MetadataRequest.MetadataRequestTopic asked, ErrorCode error) => new()
    {
        ErrorCode = error,

        // Null is allowed since version 12 only, and an id can be asked for since version 10.
        Name = asked.Name ?? (error == ErrorCode.UnknownTopicId ? "" : null),
        TopicId = asked.TopicId,
    };
}
