using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Elects preferred leaders, or such as are not in sync (KIP-460).</summary>
internal sealed class ElectLeadersHandler(IGrainFactory grains) : ApiHandler<ElectLeadersRequest>(ApiScope.Controller, "leaders")
{
    protected override async Task<IApiMessage?> HandleAsync(ElectLeadersRequest request, KafkaRequestContext context) =>
        await grains.GetGrain<IControllerGrain>(0).ElectLeadersAsync(request);

    /// <summary>Every partition has the error, since before version 1 a response has no place for one of its own.</summary>
    protected override IApiMessage Fail(ElectLeadersRequest request, ErrorCode error, string message) => new ElectLeadersResponse
    {
        ErrorCode = error,
        ReplicaElectionResults = Array.ConvertAll(request.TopicPartitions ?? [], topic => new ElectLeadersResponse.ReplicaElectionResult
        {
            Topic = topic.Topic,
            PartitionResult = Array.ConvertAll(
                topic.Partitions,
                partition => new ElectLeadersResponse.ElectedPartition
                {
                    PartitionId = partition, ErrorCode = error, ErrorMessage = message,
                }),
        }),
    };
}
