using Arus.Grains;
using Arus.Protocol;
using MarkerResult = Arus.Protocol.WriteTxnMarkersResponse.WritableTxnMarkerResult;
using TopicResult = Arus.Protocol.WriteTxnMarkersResponse.WritableTxnMarkerTopicResult;

namespace Arus.Kafka;

/// <summary>
/// Ends transactions in partitions past their coordinator, as an operator does with one that hangs (KIP-664). Coordinators here do not
/// speak Kafka's protocol.
/// </summary>
internal sealed class WriteTxnMarkersHandler(PartitionGrains partitions) : ApiHandler<WriteTxnMarkersRequest>(ApiScope.Partition)
{
    protected override async Task<IApiMessage?> HandleAsync(WriteTxnMarkersRequest request, KafkaRequestContext context)
    {
        var response = new WriteTxnMarkersResponse { Markers = new MarkerResult[request.Markers.Length] };
        for (int i = 0; i < response.Markers.Length; i++)
        {
            WriteTxnMarkersRequest.WritableTxnMarker marker = request.Markers[i];
            response.Markers[i] = new()
            {
                ProducerId = marker.ProducerId,
                Topics = await GrainCalls.MapAsync(marker.Topics, topic => WriteAsync(topic, marker, context), context.Gone),
            };
        }

        return response;
    }

    private async Task<TopicResult> WriteAsync(
        WriteTxnMarkersRequest.WritableTxnMarkerTopic topic, WriteTxnMarkersRequest.WritableTxnMarker marker, KafkaRequestContext context)
    {
        var end = new TransactionMarker(
            marker.ProducerId, marker.ProducerEpoch, marker.CoordinatorEpoch, marker.TransactionResult, marker.TransactionVersion);
        return new TopicResult
        {
            Name = topic.Name,
            Partitions = await GrainCalls.MapAsync(
                topic.PartitionIndexes,
                async index => new WriteTxnMarkersResponse.WritableTxnMarkerPartitionResult
                {
                    PartitionIndex = index,
                    ErrorCode = GrainFailure.ToErrorByName(await partitions.AskAsync(
                        topic.Name, index, context,
                        (grain, topicId) => grain.WriteMarkerAsync(end with { TopicId = topicId }), error => error)),
                },
                context.Gone),
        };
    }
}
