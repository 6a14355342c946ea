using Microsoft.Extensions.Logging;

namespace Arus.Client;

public sealed partial class GroupMembership
{
    [LoggerMessage(LogLevel.Information, "Group {Group}: member {Member} is in generation {Generation} with {Count} partitions.")]
    private partial void LogJoined(string group, string member, int generation, int count);

    [LoggerMessage(LogLevel.Information, "Group {Group}: member {Member} joins because {Reason}.")]
    private partial void LogJoining(string group, string member, string reason);

    [LoggerMessage(LogLevel.Warning, "Group {Group}: member {Member} has lost its place ({Error}).")]
    private partial void LogLost(string group, string member, ErrorCode error);

    [LoggerMessage(
        LogLevel.Warning,
        "Group {Group}: no poll within max.poll.interval.ms={Milliseconds}; the member gives up its place until the next.")]
    private partial void LogPollExpired(string group, int milliseconds);

    [LoggerMessage(LogLevel.Warning, "Group {Group}: {Call} failed and is repeated: {Message}")]
    private partial void LogRepeating(string group, string call, string message);

    [LoggerMessage(LogLevel.Error, "The membership in group {Group} ends.")]
    private partial void LogEnded(Exception failure, string group);
}
