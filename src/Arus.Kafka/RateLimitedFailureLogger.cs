using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Kafka;

/// <summary>
/// Maps failed grain calls to error codes and logs them: what a client simply retries at debug level, storage failures and unexpected
/// exceptions as errors with their cause, each cause once in a while. Safe for use by any thread.
/// </summary>
internal sealed partial class RateLimitedFailureLogger(TimeProvider time, ILogger<RateLimitedFailureLogger> logger)
{
    private readonly LineLimit _limit = new(time);

    /// <summary>The error code that the client gets for a failed grain call, which is logged as its kind deserves.</summary>
    public ErrorCode MapAndLog(Exception exception, ApiScope scope, string operation, object subject)
    {
        ErrorCode error = GrainFailure.ToErrorCode(exception, scope);
        bool isUnexpected = error == ErrorCode.UnknownServerError;
        if (!isUnexpected && !StorageFailure.Is(exception))
            LogRetriable(operation, subject, error, exception.Message);
        else if (!_limit.TryTake($"{exception.GetType()}: {exception.Message}", out string leftOut))
            LogRepeated(operation, subject, error, exception.Message);
        else if (isUnexpected)
            LogUnexpected(operation, subject, leftOut, exception);
        else
            LogStorage(operation, subject, error, exception.Message, leftOut);

        return error;
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Operation} of {Subject} failed{LeftOut}")]
    private partial void LogUnexpected(string operation, object subject, string leftOut, Exception exception);

    [LoggerMessage(
        Level = LogLevel.Error, Message = "{Operation} of {Subject} failed because of the storage; clients get {Error}: {Reason}{LeftOut}")]
    private partial void LogStorage(string operation, object subject, ErrorCode error, string reason, string leftOut);

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Operation} of {Subject} failed with {Error}: {Reason}")]
    private partial void LogRetriable(string operation, object subject, ErrorCode error, string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Operation} of {Subject} failed with {Error}, like others before: {Reason}")]
    private partial void LogRepeated(string operation, object subject, ErrorCode error, string reason);
}
