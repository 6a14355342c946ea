using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Gives topics more partitions.</summary>
internal sealed class CreatePartitionsHandler(IGrainFactory grains, TopicCache topicCache)
    : ApiHandler<CreatePartitionsRequest>(ApiScope.Controller)
{
    protected override async Task<IApiMessage?> HandleAsync(CreatePartitionsRequest request, KafkaRequestContext context) =>
        new CreatePartitionsResponse
        {
            Results = await GrainCalls.MapAsync(request.Topics, async topic =>
            {
                (ErrorCode error, string? message) = await context.TryAsync(topic.Name, () => CreateAsync(topic, request.ValidateOnly));
                return new CreatePartitionsResponse.CreatePartitionsTopicResult
                {
                    Name = topic.Name, ErrorCode = error, ErrorMessage = message,
                };
            }),
        };

    private async Task CreateAsync(CreatePartitionsRequest.CreatePartitionsTopic topic, bool validateOnly)
    {
        if (!TopicName.IsValid(topic.Name))
            throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"There is no topic '{topic.Name}'.");

        int[][]? assignments = topic.Assignments is null ? null : Array.ConvertAll(topic.Assignments, assignment => assignment.BrokerIds);
        TopicDescription changed =
            await grains.GetGrain<ITopicGrain>(topic.Name).CreatePartitionsAsync(topic.Count, assignments, validateOnly);
        if (!validateOnly)
            topicCache.Set(changed);
    }
}
