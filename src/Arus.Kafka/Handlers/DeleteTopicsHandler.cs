using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Deletes topics by name, or by id since version 6.</summary>
internal sealed class DeleteTopicsHandler(GatewayServices services) : ApiHandler<DeleteTopicsRequest>
{
    protected override async Task<IApiMessage?> HandleAsync(DeleteTopicsRequest request, RequestContext context)
    {
        (string? Name, Guid Id)[] topics = context.Version >= 6
            ? Array.ConvertAll(request.Topics, topic => (topic.Name, topic.TopicId))
            : Array.ConvertAll(request.TopicNames, name => ((string?)name, Guid.Empty));
        return new DeleteTopicsResponse { Responses = await Parallel.MapAsync(topics, topic => DeleteAsync(topic.Name, topic.Id)) };
    }

    private async Task<DeleteTopicsResponse.DeletableTopicResult> DeleteAsync(string? name, Guid id)
    {
        var result = new DeleteTopicsResponse.DeletableTopicResult { Name = name, TopicId = id };
        try
        {
            if (!services.Broker.Config.GetBoolean(BrokerConfigs.DeleteTopicEnable))
            {
                throw new ArusException(ErrorCode.TopicDeletionDisabled, $"{BrokerConfigs.DeleteTopicEnable} is false.");
            }

            TopicDescription topic = (name is null
                ? await services.Topics.GetAsync(id, TimeSpan.Zero)
                : await services.Topics.GetAsync(name, TimeSpan.Zero))
                ?? throw (name is null
                    ? new ArusException(ErrorCode.UnknownTopicId, $"There is no topic with id {id}.")
                    : new ArusException(ErrorCode.UnknownTopicOrPartition, $"There is no topic {name}."));
            result.Name = topic.Name;
            result.TopicId = topic.Id;
            await services.Grains.GetGrain<ITopicGrain>(topic.Name).DeleteAsync();
            services.Topics.Invalidate(topic.Name);
        }
        catch (Exception exception)
        {
            result.ErrorCode = services.Explain(exception, Asked.Controller, "DeleteTopics", name ?? id.ToString());
            result.ErrorMessage = exception.Message;
        }

        return result;
    }
}
