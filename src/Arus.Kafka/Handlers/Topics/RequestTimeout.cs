using Arus.Grains;

namespace Arus.Kafka;

/// <summary>
/// The time limit that requests for changes carry. What is changed here is changed at once, so only one that is over counts.
/// </summary>
internal static class RequestTimeout
{
    /// <summary>Refuses what may take no time, before anything is changed.</summary>
    /// <exception cref="ArusException"><see cref="ErrorCode.RequestTimedOut"/>.</exception>
    public static void Check(int timeoutMs)
    {
        if (timeoutMs <= 0)
            throw new ArusException(ErrorCode.RequestTimedOut, $"The request allows {timeoutMs} ms; nothing was changed.");
    }
}
