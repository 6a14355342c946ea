using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Serves an API by asking the coordinator of one group, which takes the request and returns the response.</summary>
/// <typeparam name="TRequest">The type of the request.</typeparam>
/// <typeparam name="TResponse">The type of the response.</typeparam>
internal abstract class GroupHandler<TRequest, TResponse>(IGrainFactory grains) : ApiHandler<TRequest>(ApiScope.Coordinator)
    where TRequest : IApiRequest<TRequest, TResponse>
    where TResponse : class, IApiMessage<TResponse>
{
    protected sealed override async Task<IApiMessage?> HandleAsync(TRequest request, KafkaRequestContext context)
    {
        string groupId = SubjectOf(request);
        return GroupId.IsValid(groupId)
            ? await AskAsync(grains.GetGrain<IGroupGrain>(groupId), request, context)
            : Fail(request, ErrorCode.InvalidGroupId, "");
    }

    protected abstract Task<TResponse> AskAsync(IGroupGrain group, TRequest request, KafkaRequestContext context);

    /// <summary>The group's id.</summary>
    protected abstract override string SubjectOf(TRequest request);
}
