using Orleans.Runtime;

namespace Arus.Gateway;

/// <summary>What a failed grain call means to a Kafka client. The one place that maps exceptions to error codes.</summary>
internal static class GrainFailure
{
    /// <summary>
    /// A refusal keeps its code. A lost or late call is <see cref="ErrorCode.RequestTimedOut"/>, which clients repeat; a silo that is gone is
    /// <see cref="ErrorCode.NotLeaderOrFollower"/>, after which they ask for metadata first.
    /// </summary>
    public static ErrorCode ToErrorCode(Exception exception) => exception switch
    {
        ArusException refusal => refusal.Code,
        TimeoutException => ErrorCode.RequestTimedOut,
        OperationCanceledException => ErrorCode.RequestTimedOut,
        OrleansException => ErrorCode.NotLeaderOrFollower,
        _ => ErrorCode.UnknownServerError,
    };

    /// <summary>The same for a call to a group's coordinator.</summary>
    public static ErrorCode ToGroupErrorCode(Exception exception) => ToErrorCode(exception) switch
    {
        ErrorCode.RequestTimedOut or ErrorCode.NotLeaderOrFollower => ErrorCode.CoordinatorNotAvailable,
        ErrorCode code => code,
    };

    /// <summary>Whether an error says that what is known of the topic is out of date.</summary>
    public static bool IsRoutingError(ErrorCode error) => error is
        ErrorCode.NotLeaderOrFollower or ErrorCode.UnknownTopicOrPartition or ErrorCode.LeaderNotAvailable or ErrorCode.FencedLeaderEpoch
        or ErrorCode.UnknownTopicId or ErrorCode.InconsistentTopicId or ErrorCode.KafkaStorageError;
}
