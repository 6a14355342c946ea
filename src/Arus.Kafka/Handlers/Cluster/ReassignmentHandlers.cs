using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Gives partitions other replicas, or leaves them those that they have (KIP-455).</summary>
internal sealed class AlterPartitionReassignmentsHandler(IGrainFactory grains)
    : ApiHandler<AlterPartitionReassignmentsRequest>(ApiScope.Controller, "reassignments")
{
    protected override async Task<IApiMessage?> HandleAsync(AlterPartitionReassignmentsRequest request, KafkaRequestContext context) =>
        await grains.GetGrain<IControllerGrain>(0).AlterPartitionReassignmentsAsync(request);

    protected override IApiMessage Fail(AlterPartitionReassignmentsRequest request, ErrorCode error, string message) =>
        new AlterPartitionReassignmentsResponse { ErrorCode = error, ErrorMessage = message };
}

/// <summary>Lists the reassignments that are under way (KIP-455).</summary>
internal sealed class ListPartitionReassignmentsHandler(IGrainFactory grains)
    : ApiHandler<ListPartitionReassignmentsRequest>(ApiScope.Controller, "reassignments")
{
    protected override async Task<IApiMessage?> HandleAsync(ListPartitionReassignmentsRequest request, KafkaRequestContext context) =>
        await grains.GetGrain<IControllerGrain>(0).ListPartitionReassignmentsAsync(request);

    protected override IApiMessage Fail(ListPartitionReassignmentsRequest request, ErrorCode error, string message) =>
        new ListPartitionReassignmentsResponse { ErrorCode = error, ErrorMessage = message };
}
