using System.Net;
using Microsoft.Extensions.Logging;

namespace Arus.Kafka;

/// <summary>
/// The lines about connections that were refused or broken, in a limited number for each interval: a port scanner or a fuzzer must not
/// fill the log. The first line after some were left out tells how many. Thread-safe.
/// </summary>
internal sealed partial class ConnectionLog(TimeProvider time, ILogger<KafkaConnection> logger)
{
    internal const int MaxLines = 10;

    internal static readonly TimeSpan Interval = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private long? _intervalStart;
    private int _lines;
    private long _leftOut;

    /// <summary>A connection is not accepted because of a limit.</summary>
    public void Refused(IPAddress address, string listener, string limit)
    {
        if (TryTake(out string leftOut))
            LogRefused(address, listener, limit, leftOut);
    }

    /// <summary>A connection is closed for what its client did.</summary>
    public void Broken(IPAddress address, string listener, string reason)
    {
        if (TryTake(out string leftOut))
            LogBroken(address, listener, reason, leftOut);
    }

    /// <summary>A connection is closed because a request of it failed in a way that nobody expected.</summary>
    public void Failed(IPAddress address, string listener, Exception exception)
    {
        if (TryTake(out string leftOut))
            LogFailed(address, listener, leftOut, exception);
    }

    /// <summary>A connection ended in a way that is no fault.</summary>
    public void Dropped(IPAddress address, string listener, string reason) => LogDropped(address, listener, reason);

    /// <param name="leftOut">What the line says about those before it.</param>
    private bool TryTake(out string leftOut)
    {
        lock (_lock)
        {
            if (_intervalStart is not { } start || time.GetElapsedTime(start) >= Interval)
                (_intervalStart, _lines) = (time.GetTimestamp(), 0);

            if (_lines == MaxLines)
            {
                _leftOut++;
                leftOut = "";
                return false;
            }

            leftOut = _leftOut == 0 ? "" : $" ({_leftOut} lines like this were left out before)";
            _lines++;
            _leftOut = 0;
            return true;
        }
    }

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
