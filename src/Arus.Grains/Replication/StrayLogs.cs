using Arus.Coordination.Replication;
using Arus.Storage;
using Microsoft.Extensions.Logging;

namespace Arus.Grains;

/// <summary>
/// Names what the log directory holds that is of no partition of this broker: it was moved to others, or its topic was deleted, while the
/// broker was away. Nothing is deleted, since records may be needed; topics that were deleted of late are not strays, and go by themselves.
/// </summary>
internal sealed partial class StrayLogs(
    string logDirectory, PartitionImage image, LocalBroker broker, ILogger<StrayLogs> logger)
{
    private const int MaxNamed = 5;

    /// <summary>To be called when the states of all partitions are known. Reads directories.</summary>
    public void Report()
    {
        TopicPartition[] strays;
        try
        {
            strays = logDirectory.Length == 0 ? []
                : [.. StoredLogs.List(logDirectory).Select(log => log.Partition).Where(IsStray).OrderBy(log => $"{log}")];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogUnread(logDirectory, e.Message);
            return;
        }

        foreach (TopicPartition stray in strays.Take(MaxNamed))
            LogStray(logDirectory, stray);

        if (strays.Length > MaxNamed)
            LogMore(logDirectory, strays.Length - MaxNamed);
    }

    private bool IsStray(TopicPartition partition)
    {
        if (image.FindTopic(partition.Topic) is not { } topic || image.Find(new PartitionId(topic, partition.Partition)) is not { } state)
            return true;

        return state.IsShared || !(state.Replicas.Contains(broker.BrokerId)
            || state.Isr.Concat(state.Elr).Any(member => member.BrokerId == broker.BrokerId));
    }

    [LoggerMessage(Level = LogLevel.Warning, Message =
        "{Directory} holds records of {Partition}, of which this broker is no replica; delete them if they are not needed")]
    private partial void LogStray(string directory, TopicPartition partition);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Directory} holds records of {Count} more partitions like that")]
    private partial void LogMore(string directory, int count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Directory} cannot be looked through for records that are not needed: {Reason}")]
    private partial void LogUnread(string directory, string reason);
}
