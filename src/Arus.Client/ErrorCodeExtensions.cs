namespace Arus.Client;

/// <summary>How the client reads error codes.</summary>
internal static class ErrorCodeExtensions
{
    /// <summary>Whether the same request may succeed if it is made again (the "Retriable" column of the protocol's error table).</summary>
    public static bool IsRetriable(this ErrorCode code) => code switch
    {
        ErrorCode.LeaderNotAvailable or ErrorCode.NotLeaderOrFollower or ErrorCode.RequestTimedOut or ErrorCode.ReplicaNotAvailable
            or ErrorCode.NetworkException or ErrorCode.CoordinatorLoadInProgress or ErrorCode.CoordinatorNotAvailable
            or ErrorCode.NotCoordinator or ErrorCode.NotEnoughReplicas or ErrorCode.NotEnoughReplicasAfterAppend
            or ErrorCode.NotController or ErrorCode.KafkaStorageError or ErrorCode.FencedLeaderEpoch or ErrorCode.UnknownLeaderEpoch
            or ErrorCode.OffsetNotAvailable or ErrorCode.UnstableOffsetCommit or ErrorCode.ThrottlingQuotaExceeded => true,
        _ => false,
    };

    /// <summary>Throws what <paramref name="code"/> says, unless it says nothing.</summary>
    /// <exception cref="ArusException">Any code but <see cref="ErrorCode.None"/>.</exception>
    public static void ThrowIfError(this ErrorCode code, string what)
    {
        if (code != ErrorCode.None)
            throw new ArusException(code, $"{what}: {code}");
    }
}
