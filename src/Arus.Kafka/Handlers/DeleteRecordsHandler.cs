using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Removes the records before an offset.</summary>
internal sealed class DeleteRecordsHandler(GatewayServices services) : ApiHandler<DeleteRecordsRequest>
{
    protected override async Task<IApiMessage?> HandleAsync(DeleteRecordsRequest request, RequestContext context) => new Protocol.DeleteRecordsResponse
    {
        Topics = await Parallel.MapAsync(request.Topics, async topic => new Protocol.DeleteRecordsResponse.DeleteRecordsTopicResult
        {
            Name = topic.Name,
            Partitions = await Parallel.MapAsync(topic.Partitions, partition => DeleteAsync(topic.Name, partition)),
        }),
    };

    private async Task<Protocol.DeleteRecordsResponse.DeleteRecordsPartitionResult> DeleteAsync(
        string name, DeleteRecordsRequest.DeleteRecordsPartition asked)
    {
        var result = new Protocol.DeleteRecordsResponse.DeleteRecordsPartitionResult { PartitionIndex = asked.PartitionIndex, LowWatermark = -1 };
        (TopicDescription? topic, result.ErrorCode) = await services.ResolveAsync(name, null, Asked.Partition, "DeleteRecords");
        if (topic is null)
        {
            return result;
        }

        if ((uint)asked.PartitionIndex >= (uint)topic.Partitions.Length)
        {
            result.ErrorCode = ErrorCode.UnknownTopicOrPartition;
            return result;
        }

        var partition = new TopicPartition(name, asked.PartitionIndex);
        try
        {
            Grains.DeleteRecordsResponse deleted = await services.Partitions.Get(partition).DeleteRecordsAsync(asked.Offset);
            result.ErrorCode = deleted.Error;
            result.LowWatermark = deleted.Error == ErrorCode.None ? deleted.LogStartOffset : -1;
        }
        catch (Exception exception)
        {
            result.ErrorCode = services.Explain(exception, Asked.Partition, "DeleteRecords", partition);
        }

        return result;
    }
}
