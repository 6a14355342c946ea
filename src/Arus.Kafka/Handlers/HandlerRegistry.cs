using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Every API that is served. What ApiVersions answers is computed from it, so that the two cannot disagree.</summary>
internal sealed class HandlerRegistry
{
    private readonly ApiHandler?[] _byKey;
    private readonly ApiVersionsResponse.ApiVersion[] _versions;

    public HandlerRegistry(GatewayServices services)
        : this(CreateAll(services))
    {
    }

    internal HandlerRegistry(IEnumerable<ApiHandler> handlers)
    {
        ApiHandler[] all = [.. handlers.OrderBy(handler => handler.Api.Key)];
        _byKey = new ApiHandler?[(int)all[^1].Api.Key + 1];
        foreach (ApiHandler handler in all)
        {
            _byKey[(int)handler.Api.Key] = handler;
        }

        _versions = [.. all.Select(Describe)];
        foreach (ApiVersionsHandler handler in all.OfType<ApiVersionsHandler>())
        {
            handler.Versions = _versions;
        }
    }

    /// <summary>The handler of an API key as it came over the wire; null when the API is not served.</summary>
    public ApiHandler? Find(ApiKey key) => (uint)key < (uint)_byKey.Length ? _byKey[(int)key] : null;

    /// <summary>The answer to an ApiVersions request of an unknown version (KIP-511), to be sent as version 0.</summary>
    public ApiVersionsResponse UnsupportedApiVersions() => new()
    {
        ErrorCode = ErrorCode.UnsupportedVersion,
        ApiKeys = [.. _versions.Where(version => version.ApiKey == (short)ApiKey.ApiVersions)],
    };

    private static ApiVersionsResponse.ApiVersion Describe(ApiHandler handler) => new()
    {
        ApiKey = (short)handler.Api.Key,
        MinVersion = handler.AdvertisedMinVersion,
        MaxVersion = handler.MaxVersion,
    };

    private static ApiHandler[] CreateAll(GatewayServices services) =>
    [
        new ApiVersionsHandler(),
        new MetadataHandler(services),
        new ProduceHandler(services),
        new FetchHandler(services),
        new ListOffsetsHandler(services),
        new OffsetForLeaderEpochHandler(services),
        new FindCoordinatorHandler(services),
        new JoinGroupHandler(services),
        new SyncGroupHandler(services),
        new HeartbeatHandler(services),
        new LeaveGroupHandler(services),
        new OffsetCommitHandler(services),
        new OffsetFetchHandler(services),
        new OffsetDeleteHandler(services),
        new DescribeGroupsHandler(services),
        new ListGroupsHandler(services),
        new DeleteGroupsHandler(services),
        new InitProducerIdHandler(services),
        new CreateTopicsHandler(services),
        new DeleteTopicsHandler(services),
        new CreatePartitionsHandler(services),
        new DeleteRecordsHandler(services),
        new DescribeConfigsHandler(services),
        new AlterConfigsHandler(services),
        new IncrementalAlterConfigsHandler(services),
        new DescribeClusterHandler(services),
        new DescribeLogDirsHandler(services),
        new DescribeTopicPartitionsHandler(services),
    ];
}
