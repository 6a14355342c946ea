using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Gives topics more partitions.</summary>
internal sealed class CreatePartitionsHandler(IGrainFactory grains, TopicCache topicCache)
    : ApiHandler<CreatePartitionsRequest>(ApiScope.Controller)
{
    protected override async Task<IApiMessage?> HandleAsync(CreatePartitionsRequest request, KafkaRequestContext context)
    {
        HashSet<string> repeated =
            [.. request.Topics.CountBy(topic => topic.Name).Where(count => count.Value > 1).Select(count => count.Key)];
        return new CreatePartitionsResponse
        {
            Results = await GrainCalls.MapAsync([.. request.Topics.DistinctBy(topic => topic.Name)], async topic =>
            {
                (ErrorCode error, string? message) = await context.TryAsync(
                    topic.Name, () => CreateAsync(topic, request, repeated.Contains(topic.Name)));
                return new CreatePartitionsResponse.CreatePartitionsTopicResult
                {
                    Name = topic.Name, ErrorCode = error, ErrorMessage = message,
                };
            }),
        };
    }

    private async Task CreateAsync(CreatePartitionsRequest.CreatePartitionsTopic topic, CreatePartitionsRequest request, bool isRepeated)
    {
        if (isRepeated)
            throw new ArusException(ErrorCode.InvalidRequest, $"The request names topic {topic.Name} several times.");

        RequestTimeout.Check(request.TimeoutMs);
        if (!TopicName.IsValid(topic.Name))
            throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"There is no topic '{topic.Name}'.");

        int[][]? assignments = topic.Assignments is null ? null : Array.ConvertAll(topic.Assignments, assignment => assignment.BrokerIds);
        TopicDescription changed =
            await grains.GetGrain<ITopicGrain>(topic.Name).CreatePartitionsAsync(topic.Count, assignments, request.ValidateOnly);
        if (!request.ValidateOnly)
            topicCache.Set(changed);
    }
}
