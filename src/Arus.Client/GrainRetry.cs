using Arus.Grains;
using Orleans.Runtime;
using Orleans.Runtime.Messaging;
using Orleans.Storage;

namespace Arus.Client;

/// <summary>
/// Repeats grain calls that failed because something moved: a silo died, a leader or coordinator is elsewhere, a call timed out.
/// Only for calls that are safe to repeat. Thread-safe.
/// </summary>
/// <param name="timeout">Of one operation, retries included; null for <see cref="ArusClientOptions.DefaultApiTimeout"/>.</param>
internal sealed class GrainRetry(ArusClientOptions options, SiloLosses losses, TimeProvider time, TimeSpan? timeout = null)
{
    private TimeSpan Limit => timeout ?? options.DefaultApiTimeout;

    /// <summary>Calls until an answer comes that repetition would not change, or the time is up.</summary>
    /// <param name="call">Safe to repeat, even where an earlier try took effect.</param>
    /// <param name="errorOf">The error that an answer carries.</param>
    /// <exception cref="ArusException">The last failure, once the timeout is over.</exception>
    public async Task<T> CallAsync<T>(Func<Task<T>> call, Func<T, ErrorCode>? errorOf, CancellationToken cancellationToken)
    {
        long start = time.GetTimestamp();
        var backoff = new ExponentialBackoff(options.RetryBackoff, options.RetryBackoffMax);
        for (int attempt = 1; ; attempt++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            TimeSpan left = Limit - time.GetElapsedTime(start);
            TimeSpan pause = backoff.Of(attempt);
            bool isLast = left <= pause;
            try
            {
                T answer = await losses.CallAsync(
                    _ => call(), left > TimeSpan.Zero ? left : TimeSpan.Zero, cancellationToken).ConfigureAwait(false);
                ErrorCode error = errorOf?.Invoke(answer) ?? ErrorCode.None;
                if (isLast || !error.IsRetriable())
                    return answer;

                pause = error == ErrorCode.ConcurrentTransactions ? TransactionManager.ConcurrentPause : pause;
            }
            catch (Exception failure) when (IsTransient(failure))
            {
                if (isLast)
                {
                    throw new ArusException(
                        ErrorCode.RequestTimedOut, $"No answer within {Limit}: {failure.Message}", failure);
                }
            }

            await Task.Delay(pause, time, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc cref="CallAsync{T}(Func{Task{T}}, Func{T, ErrorCode}?, CancellationToken)"/>
    public Task<T> CallAsync<T>(Func<Task<T>> call, CancellationToken cancellationToken) =>
        CallAsync(call, errorOf: null, cancellationToken);

    /// <summary>Whether a failure says nothing of the request itself, so that the same request may succeed a moment later.</summary>
    public static bool IsTransient(Exception failure) => failure switch
    {
        ArusException refused => refused.Code.IsRetriable(),

        // Only a person can mend it, and its message says how.
        CorruptGrainStateException => false,
        TimeoutException or SiloUnavailableException or OrleansMessageRejectionException or ConnectionFailedException => true,

        // Two activations of one grain wrote at the same time; the directory of grains is being handed over; a disk or database failed.
        _ => failure is InconsistentStateException || failure.GetType() == typeof(OrleansException) || StorageFailure.Is(failure),
    };
}

/// <summary>The pause before a repetition: <paramref name="first"/>, and twice as long each time, up to <paramref name="max"/>.</summary>
internal readonly struct ExponentialBackoff(TimeSpan first, TimeSpan max)
{
    /// <param name="attempt">1 for the first repetition.</param>
    public TimeSpan Of(int attempt) => TimeSpan.FromTicks((long)Math.Min(first.Ticks * Math.Pow(2, Math.Min(30, attempt - 1)), max.Ticks));
}

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
            or ErrorCode.OffsetNotAvailable or ErrorCode.UnstableOffsetCommit or ErrorCode.ThrottlingQuotaExceeded
            or ErrorCode.ConcurrentTransactions => true,
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
