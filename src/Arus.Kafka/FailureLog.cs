using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Kafka;

/// <summary>
/// Logs failed grain calls. What the client is told to repeat is the client's matter, and a line for those who debug; a storage that fails
/// and what nobody foresaw are for whoever runs the broker, with their cause. Safe for use by any thread.
/// </summary>
internal sealed partial class FailureLog(TimeProvider time, ILogger<FailureLog> logger)
{
    /// <summary>Clients repeat what a storage failed, so the same cause is told only so often.</summary>
    private static readonly TimeSpan TellAgainAfter = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private string? _told;
    private long _toldAt;

    public void Add(Exception exception, ErrorCode error, string operation, object subject)
    {
        if (error == ErrorCode.UnknownServerError)
        {
            LogFailure(operation, subject, exception);
        }
        else if (StorageFailure.Is(exception) && IsNews(exception))
        {
            LogStorage(operation, subject, error, exception);
        }
        else
        {
            LogRetriable(operation, subject, error, exception.Message);
        }
    }

    private bool IsNews(Exception exception)
    {
        string cause = $"{exception.GetType()}: {exception.Message}";
        lock (_lock)
        {
            if (cause == _told && time.GetElapsedTime(_toldAt) < TellAgainAfter)
            {
                return false;
            }

            _told = cause;
            _toldAt = time.GetTimestamp();
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
