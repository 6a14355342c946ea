using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Creates topics, each by itself.</summary>
internal sealed class CreateTopicsHandler(GatewayServices services) : ApiHandler<CreateTopicsRequest>
{
    protected override async Task<IApiMessage?> HandleAsync(CreateTopicsRequest request, RequestContext context)
    {
        HashSet<string> repeated = [.. request.Topics.CountBy(topic => topic.Name).Where(count => count.Value > 1).Select(count => count.Key)];
        return new CreateTopicsResponse
        {
            Topics = await Parallel.MapAsync(request.Topics, topic => repeated.Contains(topic.Name)
                ? Task.FromResult(Fail(topic.Name, ErrorCode.InvalidRequest, $"The request names topic {topic.Name} several times."))
                : CreateAsync(topic, request.ValidateOnly)),
        };
    }

    private async Task<CreateTopicsResponse.CreatableTopicResult> CreateAsync(CreateTopicsRequest.CreatableTopic topic, bool validateOnly)
    {
        ValidationResult name = TopicName.Validate(topic.Name);
        if (!name.IsOk)
        {
            return Fail(topic.Name, name.Error, name.Message);
        }

        try
        {
            TopicSpec spec = ToSpec(topic, validateOnly);
            TopicDescription created = await services.Grains.GetGrain<ITopicGrain>(topic.Name).CreateAsync(spec);
            if (!validateOnly)
            {
                services.Topics.Set(created);
            }

            return Describe(created);
        }
        catch (Exception exception)
        {
            return Fail(topic.Name, services.Explain(exception, Asked.Controller, "CreateTopics", topic.Name), exception.Message);
        }
    }

    private static TopicSpec ToSpec(CreateTopicsRequest.CreatableTopic topic, bool validateOnly)
    {
        var configs = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (CreateTopicsRequest.CreatableTopicConfig config in topic.Configs)
        {
            string value = config.Value ?? throw new ArusException(ErrorCode.InvalidConfig, $"{config.Name} has no value.");
            if (!configs.TryAdd(config.Name, value))
            {
                throw new ArusException(ErrorCode.InvalidRequest, $"{config.Name} is set several times.");
            }
        }

        if (topic.Assignments.Length == 0)
        {
            return new TopicSpec(topic.NumPartitions, topic.ReplicationFactor, null, configs, validateOnly);
        }

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
                    ErrorCode.InvalidReplicaAssignment, $"Partition {assignment.PartitionIndex}: the assignments must name each partition from 0 up once.");
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
            ConfigValue value = TopicConfig.Describe(definition, topic.Configs, services.Broker.Config);
            return new CreateTopicsResponse.CreatableTopicConfigs
            {
                Name = definition.Name,
                Value = value.Value,
                ConfigSource = (sbyte)value.Source,
            };
        })],
    };

    private static CreateTopicsResponse.CreatableTopicResult Fail(string name, ErrorCode error, string? message) => new()
    {
        Name = name, ErrorCode = error, ErrorMessage = message, NumPartitions = -1, ReplicationFactor = -1,
    };
}
