using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Finds offsets by time, or the first, the last, and that of the greatest timestamp.</summary>
internal sealed class ListOffsetsHandler(GatewayServices services) : ApiHandler<ListOffsetsRequest>
{
    /// <summary>The last offset in tiered storage (KIP-1005): there is none.</summary>
    private const long LastTiered = -5;

    public override RequestOrdering Ordering => RequestOrdering.Concurrent;

    protected override async Task<IApiMessage?> HandleAsync(ListOffsetsRequest request, RequestContext context)
    {
        IsolationLevel isolation = request.IsolationLevel == 1 ? IsolationLevel.ReadCommitted : IsolationLevel.ReadUncommitted;
        return new ListOffsetsResponse
        {
            Topics = await Parallel.MapAsync(request.Topics, async topic => new ListOffsetsResponse.ListOffsetsTopicResponse
            {
                Name = topic.Name,
                Partitions = await Parallel.MapAsync(topic.Partitions, partition => FindAsync(topic.Name, partition, isolation)),
            }),
        };
    }

    private async Task<ListOffsetsResponse.ListOffsetsPartitionResponse> FindAsync(
        string name, ListOffsetsRequest.ListOffsetsPartition asked, IsolationLevel isolation)
    {
        var response = new ListOffsetsResponse.ListOffsetsPartitionResponse { PartitionIndex = asked.PartitionIndex };
        (TopicDescription? topic, response.ErrorCode) = await services.ResolveAsync(name, null, Asked.Partition, "ListOffsets");
        if (topic is null || asked.Timestamp == LastTiered)
        {
            return response;
        }

        if ((uint)asked.PartitionIndex >= (uint)topic.Partitions.Length)
        {
            response.ErrorCode = ErrorCode.UnknownTopicOrPartition;
            return response;
        }

        var partition = new TopicPartition(name, asked.PartitionIndex);
        try
        {
            ListOffsetResponse found = await services.Partitions.Get(partition).ListOffsetAsync(
                new ListOffsetRequest(asked.Timestamp, asked.CurrentLeaderEpoch, isolation));
            response.ErrorCode = found.Error;
            response.Offset = found.Offset;
            response.Timestamp = found.Timestamp;
            response.LeaderEpoch = found.LeaderEpoch;
        }
        catch (Exception exception)
        {
            response.ErrorCode = services.Explain(exception, Asked.Partition, "ListOffsets", partition);
        }

        if (GrainFailure.IsRoutingError(response.ErrorCode))
        {
            services.Topics.Invalidate(name);
        }

        return response;
    }
}
