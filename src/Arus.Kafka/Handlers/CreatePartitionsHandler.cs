using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Gives topics more partitions.</summary>
internal sealed class CreatePartitionsHandler(GatewayServices services) : ApiHandler<CreatePartitionsRequest>
{
    protected override async Task<IApiMessage?> HandleAsync(CreatePartitionsRequest request, RequestContext context) => new CreatePartitionsResponse
    {
        Results = await Parallel.MapAsync(request.Topics, topic => CreateAsync(topic, request.ValidateOnly)),
    };

    private async Task<CreatePartitionsResponse.CreatePartitionsTopicResult> CreateAsync(
        CreatePartitionsRequest.CreatePartitionsTopic topic, bool validateOnly)
    {
        var result = new CreatePartitionsResponse.CreatePartitionsTopicResult { Name = topic.Name };
        try
        {
            if (!TopicName.IsValid(topic.Name))
            {
                throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"There is no topic '{topic.Name}'.");
            }

            int[][]? assignments = topic.Assignments is null ? null : Array.ConvertAll(topic.Assignments, assignment => assignment.BrokerIds);
            TopicDescription changed = await services.Grains.GetGrain<ITopicGrain>(topic.Name)
                .CreatePartitionsAsync(topic.Count, assignments, validateOnly);
            if (!validateOnly)
            {
                services.Topics.Set(changed);
            }
        }
        catch (Exception exception)
        {
            result.ErrorCode = services.Explain(exception, Asked.Controller, "CreatePartitions", topic.Name);
            result.ErrorMessage = exception.Message;
        }

        return result;
    }
}
