using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Creates topics, each by itself.</summary>
internal sealed class CreateTopicsHandler(IGrainFactory grains, LocalBroker broker, TopicCache topicCache)
    : ApiHandler<CreateTopicsRequest>(ApiScope.Controller)
{
    protected override async Task<IApiMessage?> HandleAsync(CreateTopicsRequest request, KafkaRequestContext context)
    {
        HashSet<string> repeated =
            [.. request.Topics.CountBy(topic => topic.Name).Where(count => count.Value > 1).Select(count => count.Key)];
        return new CreateTopicsResponse
        {
            Topics = await GrainCalls.MapAsync([.. request.Topics.DistinctBy(topic => topic.Name)], topic => context.TryAsync(
                topic.Name,
                () => CreateAsync(topic, request, repeated.Contains(topic.Name)),
                (error, message) => new()
                {
                    Name = topic.Name, ErrorCode = error, ErrorMessage = message, NumPartitions = -1, ReplicationFactor = -1,
                })),
        };
    }

    private async Task<CreateTopicsResponse.CreatableTopicResult> CreateAsync(
        CreateTopicsRequest.CreatableTopic topic, CreateTopicsRequest request, bool isRepeated)
    {
        if (isRepeated)
            throw new ArusException(ErrorCode.InvalidRequest, $"The request names topic {topic.Name} several times.");

        if (TopicName.Validate(topic.Name) is { IsOk: false } refusal)
            throw new ArusException(refusal.Error, refusal.Message!);

        if (TopicName.IsReserved(topic.Name))
            throw new ArusException(ErrorCode.InvalidRequest, $"The name {topic.Name} is reserved.");

        RequestTimeout.Check(request.TimeoutMs);
        TopicDescription created = await grains.GetGrain<ITopicGrain>(topic.Name).CreateAsync(await ToSpecAsync(topic, request));
        if (!request.ValidateOnly)
            topicCache.Set(created);

        return Describe(created);
    }

    /// <summary>What is wrong with a specification counts only for a topic that is not there yet.</summary>
    private async Task<TopicSpec> ToSpecAsync(CreateTopicsRequest.CreatableTopic topic, CreateTopicsRequest request)
    {
        try
        {
            return ToSpec(topic, request.ValidateOnly);
        }
        catch (ArusException) when (topic.Name.Length > 0)
        {
            if (await topicCache.GetAsync(topic.Name, TimeSpan.Zero) is not null)
                throw new ArusException(ErrorCode.TopicAlreadyExists, $"Topic '{topic.Name}' already exists.");

            throw;
        }
    }

    private static TopicSpec ToSpec(CreateTopicsRequest.CreatableTopic topic, bool validateOnly)
    {
        var configs = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (CreateTopicsRequest.CreatableTopicConfig config in topic.Configs)
            configs[config.Name] = config.Value!; // Null is refused where the topic's existence is known: that comes first.

        if (topic.Assignments.Length == 0)
            return new TopicSpec(topic.NumPartitions, topic.ReplicationFactor, null, configs, validateOnly);

        if (topic.NumPartitions != -1 || topic.ReplicationFactor != -1)
        {
            throw new ArusException(
                ErrorCode.InvalidRequest, "Both assignments and a number of partitions or replicas are given; only one of the two can be.");
        }

        var assignments = new int[topic.Assignments.Length][];
        foreach (CreateTopicsRequest.CreatableReplicaAssignment assignment in topic.Assignments)
        {
            if ((uint)assignment.PartitionIndex >= (uint)assignments.Length || assignments[assignment.PartitionIndex] is not null)
            {
                throw new ArusException(
                    ErrorCode.InvalidReplicaAssignment,
                    $"Partition {assignment.PartitionIndex}: the assignments must name each partition from 0 up once.");
            }

            assignments[assignment.PartitionIndex] = assignment.BrokerIds;
        }

        return new TopicSpec(-1, -1, assignments, configs, validateOnly);
    }

    private CreateTopicsResponse.CreatableTopicResult Describe(TopicDescription topic) => new()
    {
        Name = topic.Name,
        TopicId = topic.Id,
        NumPartitions = topic.Partitions.Length,
        ReplicationFactor = (short)(topic.Partitions is [{ } first, ..] ? first.Replicas.Length : -1),
        Configs = [.. TopicConfigs.All.Select(definition =>
        {
            ConfigValue value = TopicConfig.Describe(definition, topic.Configs, broker.Config);
            return new CreateTopicsResponse.CreatableTopicConfigs
            {
                Name = definition.Name, Value = value.Value, ConfigSource = (sbyte)value.Source,
            };
        })],
    };
}
