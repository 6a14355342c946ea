using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>
/// Changes the levels of features (KIP-584). Arus announces only features that it has, which is none yet: transactions, share groups and
/// the like come with theirs. So each update is refused, all of them or none as in Kafka.
/// </summary>
internal sealed class UpdateFeaturesHandler() : ApiHandler<UpdateFeaturesRequest>(ApiScope.Controller, "features")
{
    protected override Task<IApiMessage?> HandleAsync(UpdateFeaturesRequest request, KafkaRequestContext context) =>
        Task.FromResult<IApiMessage?>(request.FeatureUpdates is [var first, ..]
            ? new UpdateFeaturesResponse
            {
                ErrorCode = ErrorCode.InvalidUpdateVersion,
                ErrorMessage = $"Nothing was updated: feature '{first.Feature}' is not known to this cluster.",
            }
            : new UpdateFeaturesResponse());

    protected override IApiMessage Fail(UpdateFeaturesRequest request, ErrorCode error, string message) =>
        new UpdateFeaturesResponse { ErrorCode = error, ErrorMessage = message };
}
