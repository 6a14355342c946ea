using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Describes the configuration of topics, of this broker and its loggers, of groups and of client metrics.</summary>
internal sealed class DescribeConfigsHandler(IGrainFactory grains, LocalBroker broker)
    : ApiHandler<DescribeConfigsRequest>(ApiScope.Controller, "configuration")
{
    protected override async Task<IApiMessage?> HandleAsync(DescribeConfigsRequest request, KafkaRequestContext context) =>
        await grains.GetGrain<IBrokerGrain>(broker.BrokerId).DescribeConfigsAsync(request, context.Gone);
}
