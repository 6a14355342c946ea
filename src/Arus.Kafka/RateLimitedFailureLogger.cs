using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Kafka;

/// <summary>
/// Maps failed grain calls to error codes and logs them: what a client simply retries at debug level, storage failures and unexpected
/// exceptions as errors with their cause. Safe for use by any thread.
/// </summary>
internal sealed partial class RateLimitedFailureLogger(TimeProvider time, ILogger<RateLimitedFailureLogger> logger)
{
    /// <summary>Clients retry what a failing storage refused, so the same cause is logged as an error only this often.</summary>
    private static readonly TimeSpan RepeatInterval = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private string? _lastCause;
    private long _lastLoggedAt;

    /// <summary>The error code that the client gets for a failed grain call, which is logged as its kind deserves.</summary>
    public ErrorCode MapAndLog(Exception exception, ApiScope scope, string operation, object subject)
    {
        ErrorCode error = GrainFailure.ToErrorCode(exception, scope);
        if (error == ErrorCode.UnknownServerError)
            LogFailure(operation, subject, exception);
        else if (StorageFailure.Is(exception) && ShouldLog(exception))
            LogStorage(operation, subject, error, exception);
        else
            LogRetriable(operation, subject, error, exception.Message);

        return error;
    }

    private bool ShouldLog(Exception exception)
    {
        string cause = $"{exception.GetType()}: {exception.Message}";
        lock (_lock)
        {
            if (cause == _lastCause && time.GetElapsedTime(_lastLoggedAt) < RepeatInterval)
                return false;

            _lastCause = cause;
            _lastLoggedAt = time.GetTimestamp();
            return true;
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Operation} of {Subject} failed")]
    private partial void LogFailure(string operation, object subject, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Operation} of {Subject} failed because of the storage; clients get {Error}")]
    private partial void LogStorage(string operation, object subject, ErrorCode error, Exception exception);

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Operation} of {Subject} failed with {Error}: {Reason}")]
    private partial void LogRetriable(string operation, object subject, ErrorCode error, string reason);
}
