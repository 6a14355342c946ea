using System.Net;
using Microsoft.Extensions.Logging;

namespace Arus.Kafka;

/// <summary>Logs connections that were refused or broken, at a bounded rate. Thread-safe.</summary>
internal sealed partial class ConnectionLog(TimeProvider time, ILogger<KafkaConnection> logger)
{
    private readonly LineLimit _limit = new(time);

    /// <summary>A connection is not accepted because of a limit.</summary>
    public void Refused(IPAddress address, string listener, string limit)
    {
        if (_limit.TryTake(null, out string leftOut))
            LogRefused(address, listener, limit, leftOut);
    }

    /// <summary>A connection is closed for what its client did.</summary>
    public void Broken(IPAddress address, string listener, string reason)
    {
        if (_limit.TryTake(null, out string leftOut))
            LogBroken(address, listener, reason, leftOut);
    }

    /// <summary>A connection is closed because one of its requests failed unexpectedly.</summary>
    public void Failed(IPAddress address, string listener, Exception exception)
    {
        if (_limit.TryTake(null, out string leftOut))
            LogFailed(address, listener, leftOut, exception);
    }

    /// <summary>A connection ended in a way that is no fault.</summary>
    public void Dropped(IPAddress address, string listener, string reason) => LogDropped(address, listener, reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Connection from {Address} on {Listener} refused: {Limit}{LeftOut}")]
    private partial void LogRefused(IPAddress address, string listener, string limit, string leftOut);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Connection from {Address} on {Listener} closed: {Reason}{LeftOut}")]
    private partial void LogBroken(IPAddress address, string listener, string reason, string leftOut);

    [LoggerMessage(
        Level = LogLevel.Error, Message = "Connection from {Address} on {Listener} closed: a request failed unexpectedly{LeftOut}")]
    private partial void LogFailed(IPAddress address, string listener, string leftOut, Exception exception);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Connection from {Address} on {Listener} ended: {Reason}")]
    private partial void LogDropped(IPAddress address, string listener, string reason);
}
