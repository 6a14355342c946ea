using Arus.Grains;
using Orleans.Runtime;

namespace Arus.Kafka;

/// <summary>
/// What a request is about; it selects the retriable error code that clients of that API understand for a failed grain call.
/// </summary>
internal enum ApiScope
{
    /// <summary>The leader of a partition, or its topic on the way to it.</summary>
    Partition,

    /// <summary>Records to consume: a partition whose errors are limited to those that consumers retry a fetch after.</summary>
    Fetch,

    /// <summary>The coordinator of a group.</summary>
    Coordinator,

    /// <summary>Committed offsets, which consumers fetch once before they read.</summary>
    CommittedOffsets,

    /// <summary>Topics and configurations, which Kafka's controller changes.</summary>
    Controller,

    /// <summary>The brokers and topics of the cluster.</summary>
    Metadata,

    /// <summary>The allocation of producer ids.</summary>
    ProducerIds,
}

/// <summary>The one place that maps exceptions of grain calls to Kafka's error codes.</summary>
internal static class GrainFailure
{
    /// <summary>
    /// A refusal keeps its code. A failure that may pass (a call that is lost or late, a silo that is gone, a storage that fails) becomes a
    /// code after which clients repeat the request.
    /// </summary>
    public static ErrorCode ToErrorCode(Exception exception, ApiScope scope) => exception switch
    {
        _ when scope == ApiScope.Fetch => ToFetchError(ToErrorCode(exception, ApiScope.Partition)),
        ArusException { Code: ErrorCode.NotCoordinator } when scope == ApiScope.CommittedOffsets => Unavailable(scope),
        ArusException refusal => refusal.Code,
        TimeoutException or OperationCanceledException =>
            scope is ApiScope.Partition or ApiScope.Controller ? ErrorCode.RequestTimedOut : Unavailable(scope),
        _ when StorageFailure.Is(exception) => scope == ApiScope.Partition ? ErrorCode.KafkaStorageError : Unavailable(scope),
        OrleansException => Unavailable(scope),
        _ => ErrorCode.UnknownServerError,
    };

    /// <summary>
    /// The error that a fetch ends with. Kafka's brokers answer neither a timeout nor a missing leader to a fetch, and the Java consumer,
    /// which repeats it after the errors that they do answer, throws an exception out of its poll after these.
    /// </summary>
    public static ErrorCode ToFetchError(ErrorCode error) =>
        error is ErrorCode.RequestTimedOut or ErrorCode.LeaderNotAvailable ? ErrorCode.NotLeaderOrFollower : error;

    /// <summary>
    /// The error to a request that names its topic. That the name is another topic's by now is for those to know who asked by id.
    /// </summary>
    public static ErrorCode ToErrorByName(ErrorCode error) =>
        error == ErrorCode.UnknownTopicId ? ErrorCode.UnknownTopicOrPartition : error;

    /// <summary>Whether an error says that what is known of the topic is out of date.</summary>
    public static bool IsRoutingError(ErrorCode error) => error is
        ErrorCode.NotLeaderOrFollower or ErrorCode.UnknownTopicOrPartition or ErrorCode.LeaderNotAvailable or ErrorCode.FencedLeaderEpoch
        or ErrorCode.UnknownTopicId or ErrorCode.InconsistentTopicId or ErrorCode.KafkaStorageError;

    /// <summary>The code after which a client first looks up the right broker and then repeats the request.</summary>
    private static ErrorCode Unavailable(ApiScope scope) => scope switch
    {
        ApiScope.Coordinator => ErrorCode.CoordinatorNotAvailable,
        ApiScope.Controller => ErrorCode.NotController,
        ApiScope.Metadata => ErrorCode.LeaderNotAvailable,

        // An idempotent producer has no coordinator to look up; this code makes it repeat the request as it is.
        ApiScope.ProducerIds => ErrorCode.CoordinatorLoadInProgress,

        // librdkafka repeats the request after this code only; after one that makes it look up the coordinator it never asks for these
        // offsets again, and the consumer reads nothing for good (confluentinc/librdkafka#5586). Every broker asks the coordinator
        // wherever it is, so that the same broker answers as soon as there is one.
        ApiScope.CommittedOffsets => ErrorCode.CoordinatorLoadInProgress,
        _ => ErrorCode.NotLeaderOrFollower,
    };
}
