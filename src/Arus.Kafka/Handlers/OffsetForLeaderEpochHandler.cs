using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Says where a leader epoch ended, so that a client notices that what it has read was cut off (KIP-320).</summary>
internal sealed class OffsetForLeaderEpochHandler(GatewayServices services) : ApiHandler<OffsetForLeaderEpochRequest>
{
    public override RequestOrdering Ordering => RequestOrdering.Concurrent;

    protected override async Task<IApiMessage?> HandleAsync(OffsetForLeaderEpochRequest request, RequestContext context) =>
        new OffsetForLeaderEpochResponse
        {
            Topics = await Parallel.MapAsync(request.Topics, async topic => new OffsetForLeaderEpochResponse.OffsetForLeaderTopicResult
            {
                Topic = topic.Topic,
                Partitions = await Parallel.MapAsync(topic.Partitions, partition => FindAsync(topic.Topic, partition)),
            }),
        };

    private async Task<OffsetForLeaderEpochResponse.EpochEndOffset> FindAsync(
        string name, OffsetForLeaderEpochRequest.OffsetForLeaderPartition asked)
    {
        var response = new OffsetForLeaderEpochResponse.EpochEndOffset { Partition = asked.Partition };
        (TopicDescription? topic, response.ErrorCode) = await services.ResolveAsync(name, null, Asked.Partition, "OffsetForLeaderEpoch");
        if (topic is null)
        {
            return response;
        }

        if ((uint)asked.Partition >= (uint)topic.Partitions.Length)
        {
            response.ErrorCode = ErrorCode.UnknownTopicOrPartition;
            return response;
        }

        var partition = new TopicPartition(name, asked.Partition);
        try
        {
            EpochEndResponse found = await services.Partitions.Get(partition).GetEpochEndAsync(asked.CurrentLeaderEpoch, asked.LeaderEpoch);
            response.ErrorCode = found.Error;
            response.LeaderEpoch = found.LeaderEpoch;
            response.EndOffset = found.EndOffset;
        }
        catch (Exception exception)
        {
            response.ErrorCode = services.Explain(exception, Asked.Partition, "OffsetForLeaderEpoch", partition);
        }

        return response;
    }
}
