using Arus.Grains;
using Orleans.Runtime;

namespace Arus.Kafka;

/// <summary>Whom a grain call asks. What a client does about an error, and which it repeats at all, depends on it.</summary>
internal enum Asked
{
    /// <summary>The leader of a partition, or its topic on the way to it.</summary>
    Partition,

    /// <summary>The same, for records to consume.</summary>
    Fetch,

    /// <summary>The coordinator of a group.</summary>
    Coordinator,

    /// <summary>What Kafka's controller would do: topics and configurations.</summary>
    Controller,

    /// <summary>What the cluster and its topics are.</summary>
    Metadata,

    /// <summary>Whoever gives out producer ids.</summary>
    ProducerIds,
}

/// <summary>What a failed grain call means to a Kafka client. The one place that maps exceptions to error codes.</summary>
internal static class GrainFailure
{
    /// <summary>
    /// A refusal keeps its code. All that may be over in a moment becomes a code that clients repeat the request for: a call that is lost or
    /// late, a silo that is gone, a storage that fails.
    /// </summary>
    public static ErrorCode ToErrorCode(Exception exception, Asked asked) => exception switch
    {
        _ when asked == Asked.Fetch => ToFetchError(ToErrorCode(exception, Asked.Partition)),
        ArusException refusal => refusal.Code,
        TimeoutException or OperationCanceledException => asked is Asked.Partition or Asked.Controller ? ErrorCode.RequestTimedOut : Away(asked),
        _ when StorageFailure.Is(exception) => asked == Asked.Partition ? ErrorCode.KafkaStorageError : Away(asked),
        OrleansException => Away(asked),
        _ => ErrorCode.UnknownServerError,
    };

    /// <summary>
    /// The error that a fetch ends with. Kafka's brokers answer neither a timeout nor a missing leader to a fetch, and the Java consumer, which
    /// repeats it after the errors that they do answer, throws an exception out of its poll after these.
    /// </summary>
    public static ErrorCode ToFetchError(ErrorCode error) =>
        error is ErrorCode.RequestTimedOut or ErrorCode.LeaderNotAvailable ? ErrorCode.NotLeaderOrFollower : error;

    /// <summary>Whether an error says that what is known of the topic is out of date.</summary>
    public static bool IsRoutingError(ErrorCode error) => error is
        ErrorCode.NotLeaderOrFollower or ErrorCode.UnknownTopicOrPartition or ErrorCode.LeaderNotAvailable or ErrorCode.FencedLeaderEpoch
        or ErrorCode.UnknownTopicId or ErrorCode.InconsistentTopicId or ErrorCode.KafkaStorageError;

    /// <summary>"Not here, not now": each kind of client asks for the right place first and then repeats the request.</summary>
    private static ErrorCode Away(Asked asked) => asked switch
    {
        Asked.Coordinator => ErrorCode.CoordinatorNotAvailable,
        Asked.Controller => ErrorCode.NotController,
        Asked.Metadata => ErrorCode.LeaderNotAvailable,

        // An idempotent producer has no coordinator that it could look up; this one it repeats as it is, as when Kafka waits for a block.
        Asked.ProducerIds => ErrorCode.CoordinatorLoadInProgress,
        _ => ErrorCode.NotLeaderOrFollower,
    };
}
