using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Every API that is served. What ApiVersions answers is computed from it, so that the two cannot disagree.</summary>
internal sealed class HandlerRegistry
{
    private readonly ApiHandler?[] _byKey;

    public HandlerRegistry(IEnumerable<ApiHandler> handlers, ClusterCache clusterCache, LocalBroker broker)
    {
        ApiHandler[] all = [.. handlers.Append(new ApiVersionsHandler(this, clusterCache, broker)).OrderBy(handler => handler.Api.Key)];
        _byKey = new ApiHandler?[(int)all[^1].Api.Key + 1];
        foreach (ApiHandler handler in all)
            _byKey[(int)handler.Api.Key] = handler;

        Versions = Array.ConvertAll(all, handler => new ApiVersionsResponse.ApiVersion
        {
            ApiKey = (short)handler.Api.Key, MinVersion = handler.AdvertisedMinVersion, MaxVersion = handler.Api.MaxVersion,
        });
    }

    /// <summary>The handlers that are registered with the host; <see cref="ApiVersionsHandler"/> belongs to the registry itself.</summary>
    public static IReadOnlyList<Type> Types { get; } =
    [
        typeof(ProduceHandler), typeof(FetchHandler), typeof(ListOffsetsHandler), typeof(OffsetForLeaderEpochHandler),
        typeof(DeleteRecordsHandler), typeof(InitProducerIdHandler), typeof(WriteTxnMarkersHandler),
        typeof(FindCoordinatorHandler), typeof(JoinGroupHandler), typeof(SyncGroupHandler), typeof(HeartbeatHandler),
        typeof(LeaveGroupHandler), typeof(OffsetCommitHandler), typeof(TxnOffsetCommitHandler), typeof(OffsetFetchHandler),
        typeof(OffsetDeleteHandler), typeof(DescribeGroupsHandler), typeof(ListGroupsHandler), typeof(DeleteGroupsHandler),
        typeof(AddPartitionsToTxnHandler), typeof(AddOffsetsToTxnHandler), typeof(EndTxnHandler),
        typeof(DescribeTransactionsHandler), typeof(ListTransactionsHandler),
        typeof(MetadataHandler), typeof(CreateTopicsHandler), typeof(DeleteTopicsHandler), typeof(CreatePartitionsHandler),
        typeof(DescribeTopicPartitionsHandler), typeof(DescribeConfigsHandler), typeof(AlterConfigsHandler),
        typeof(IncrementalAlterConfigsHandler), typeof(ListConfigResourcesHandler),
        typeof(DescribeClusterHandler), typeof(DescribeLogDirsHandler), typeof(UpdateFeaturesHandler), typeof(DescribeProducersHandler),
        typeof(ElectLeadersHandler), typeof(AlterPartitionReassignmentsHandler), typeof(ListPartitionReassignmentsHandler),
        typeof(AlterReplicaLogDirsHandler), typeof(DescribeQuorumHandler), typeof(UnregisterBrokerHandler),
    ];

    /// <summary>The versions that ApiVersions names, by API key.</summary>
    public ApiVersionsResponse.ApiVersion[] Versions { get; }

    /// <summary>The handler of an API key as it came over the wire; null when the API is not served.</summary>
    public ApiHandler? Find(ApiKey key) => (uint)key < (uint)_byKey.Length ? _byKey[(int)key] : null;
}
