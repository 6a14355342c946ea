using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Deletes topics by name, or by id since version 6.</summary>
internal sealed class DeleteTopicsHandler(IGrainFactory grains, LocalBroker broker, TopicCache topicCache)
    : ApiHandler<DeleteTopicsRequest>(ApiScope.Controller)
{
    protected override async Task<IApiMessage?> HandleAsync(DeleteTopicsRequest request, KafkaRequestContext context)
    {
        (string? Name, Guid Id)[] named = context.Version >= 6
            ? Array.ConvertAll(request.Topics, topic => (topic.Name, topic.TopicId))
            : Array.ConvertAll(request.TopicNames, name => ((string?)name, Guid.Empty));
        HashSet<(string?, Guid)> repeated = [.. named.CountBy(topic => topic).Where(count => count.Value > 1).Select(count => count.Key)];
        Target[] targets = await GrainCalls.MapAsync(
            [.. named.Distinct()],
            topic => context.TryAsync(
                topic.Name ?? topic.Id.ToString(),
                () => FindAsync(topic.Name, topic.Id, repeated.Contains(topic), request.TimeoutMs),
                (error, message) => new Target(topic.Name, topic.Id, error, message)));
        return new DeleteTopicsResponse
        {
            Responses = await GrainCalls.MapAsync([.. RefuseNamedTwice(targets)], target => context.TryAsync(
                target.Name ?? target.Id.ToString(),
                () => DeleteAsync(target),
                (error, message) => Response(target with { Error = error, Message = message }))),
        };
    }

    /// <summary>A topic that is named both by its name and by its id is not deleted, and told once.</summary>
    private static IEnumerable<Target> RefuseNamedTwice(Target[] targets) => targets.GroupBy(target => target).Select(
        same => same.Count() == 1 ? same.Key : same.Key with
        {
            Error = ErrorCode.InvalidRequest, Message = $"The request names topic {same.Key.Name} both by its name and by its id.",
        });

    private async Task<Target> FindAsync(string? name, Guid id, bool isRepeated, int timeoutMs)
    {
        if (isRepeated)
            throw new ArusException(ErrorCode.InvalidRequest, "The request names this topic several times.");

        if (name is null == (id == Guid.Empty))
            throw new ArusException(ErrorCode.InvalidRequest, "A topic is named by its name or by its id: by one of the two.");

        RequestTimeout.Check(timeoutMs);
        if (!broker.Config.GetBoolean(BrokerConfigs.DeleteTopicEnable))
            throw new ArusException(ErrorCode.TopicDeletionDisabled, $"{BrokerConfigs.DeleteTopicEnable} is false.");

        TopicDescription topic = name is null
            ? await topicCache.GetAsync(id, TimeSpan.Zero)
                ?? throw new ArusException(ErrorCode.UnknownTopicId, $"There is no topic with id {id}.")
            : await topicCache.GetAsync(name, TimeSpan.Zero)
                ?? throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"There is no topic {name}.");
        return new Target(topic.Name, topic.Id, ErrorCode.None, null);
    }

    private async Task<DeleteTopicsResponse.DeletableTopicResult> DeleteAsync(Target target)
    {
        if (target.Error == ErrorCode.None)
        {
            await grains.GetGrain<ITopicGrain>(target.Name!).DeleteAsync(target.Id);
            topicCache.Remove(target.Name!);
        }

        return Response(target);
    }

    private static DeleteTopicsResponse.DeletableTopicResult Response(Target target) =>
        new() { Name = target.Name, TopicId = target.Id, ErrorCode = target.Error, ErrorMessage = target.Message };

    /// <summary>A topic that the request names, as it is or as it was named, and why it is not deleted.</summary>
    private sealed record Target(string? Name, Guid Id, ErrorCode Error, string? Message);
}
