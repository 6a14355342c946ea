using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Forgets a broker that is gone for good (KIP-500).</summary>
internal sealed class UnregisterBrokerHandler(IGrainFactory grains)
    : ApiHandler<UnregisterBrokerRequest>(ApiScope.Controller, "a broker's registration")
{
    protected override async Task<IApiMessage?> HandleAsync(UnregisterBrokerRequest request, KafkaRequestContext context)
    {
        await grains.GetGrain<IClusterGrain>(0).UnregisterBrokerAsync(request.BrokerId);
        return new UnregisterBrokerResponse();
    }

    protected override IApiMessage Fail(UnregisterBrokerRequest request, ErrorCode error, string message) =>
        new UnregisterBrokerResponse { ErrorCode = error, ErrorMessage = message };
}
