using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Deletes topics by name, or by id since version 6.</summary>
internal sealed class DeleteTopicsHandler(IGrainFactory grains, LocalBroker broker, TopicCache topicCache)
    : ApiHandler<DeleteTopicsRequest>(ApiScope.Controller)
{
    protected override async Task<IApiMessage?> HandleAsync(DeleteTopicsRequest request, KafkaRequestContext context)
    {
        (string? Name, Guid Id)[] topics = context.Version >= 6
            ? Array.ConvertAll(request.Topics, topic => (topic.Name, topic.TopicId))
            : Array.ConvertAll(request.TopicNames, name => ((string?)name, Guid.Empty));
        return new DeleteTopicsResponse
        {
            Responses = await GrainCalls.MapAsync(topics, topic => context.TryAsync(
                topic.Name ?? topic.Id.ToString(),
                () => DeleteAsync(topic.Name, topic.Id),
                (error, message) => new() { Name = topic.Name, TopicId = topic.Id, ErrorCode = error, ErrorMessage = message })),
        };
    }

    private async Task<DeleteTopicsResponse.DeletableTopicResult> DeleteAsync(string? name, Guid id)
    {
        if (!broker.Config.GetBoolean(BrokerConfigs.DeleteTopicEnable))
            throw new ArusException(ErrorCode.TopicDeletionDisabled, $"{BrokerConfigs.DeleteTopicEnable} is false.");

        TopicDescription topic = name is null
            ? await topicCache.GetAsync(id, TimeSpan.Zero)
                ?? throw new ArusException(ErrorCode.UnknownTopicId, $"There is no topic with id {id}.")
            : await topicCache.GetAsync(name, TimeSpan.Zero)
                ?? throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"There is no topic {name}.");
        await grains.GetGrain<ITopicGrain>(topic.Name).DeleteAsync();
        topicCache.Remove(topic.Name);
        return new() { Name = topic.Name, TopicId = topic.Id };
    }
}
