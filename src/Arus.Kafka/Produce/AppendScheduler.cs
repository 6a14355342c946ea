using System.Collections.Concurrent;
using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Kafka;

/// <summary>
/// The appenders of this silo, one for each partition that is being produced to through it; and one more for each transactional id, so that
/// a producer whose transaction has to be verified holds up nobody else. Safe for use by any thread.
/// </summary>
/// <param name="leaders">Null where partitions are not replicated.</param>
internal sealed partial class AppendScheduler(
    PartitionGrains grains, KafkaListenerOptions options, TopicCache topics, RateLimitedFailureLogger failures, TimeProvider time,
    ILogger<AppendScheduler> logger, ILocalLeaders? leaders = null)
{
    private static readonly TimeSpan IdleLife = TimeSpan.FromMinutes(5);

    private readonly ConcurrentDictionary<Lane, PartitionAppender> _appenders = new();
    private readonly Lock _lifetime = new();
    private readonly LineLimit _lines = new(time);

    /// <summary>Queues an append; see <see cref="PartitionAppender.EnqueueAsync"/>.</summary>
    public ValueTask EnqueueAsync(TopicPartition partition, in QueuedAppend append)
    {
        var lane = new Lane(partition, append.Transaction?.TransactionalId);

        // Under the lock only when the appender is new: removal must not let go of one that is being used.
        if (_appenders.TryGetValue(lane, out PartitionAppender? appender)
            && time.GetUtcNow().UtcTicks - appender.LastUsed < IdleLife.Ticks / 2)
        {
            return appender.EnqueueAsync(append);
        }

        lock (_lifetime)
        {
            appender = _appenders.GetOrAdd(lane, Create);
            appender.LastUsed = time.GetUtcNow().UtcTicks;
            return appender.EnqueueAsync(append);
        }
    }

    /// <summary>Removes appenders that have not been used for a while.</summary>
    public void Sweep()
    {
        lock (_lifetime)
        {
            long now = time.GetUtcNow().UtcTicks;
            foreach ((Lane lane, PartitionAppender appender) in _appenders)
            {
                if (now - appender.LastUsed > IdleLife.Ticks && appender.IsIdle)
                    _appenders.TryRemove(lane, out _);
            }
        }
    }

    private PartitionAppender Create(Lane lane) => new(
        lane.Partition, grains.Get(lane.Partition), leaders, options.MaxPartitionQueueBytes, time, OnFault);

    private readonly record struct Lane(TopicPartition Partition, string? TransactionalId);

    private void OnFault(PartitionAppender appender, ErrorCode error, Exception? failure)
    {
        topics.Invalidate(appender.Partition.Topic);
        if (failure is not null && StorageFailure.Is(failure))
            failures.MapAndLog(failure, ApiScope.Partition, "Append", appender.Partition);
        else if (failure is not null && _lines.TryTake($"{appender.Partition}: {error}", out string leftOut))
            LogAppendFailed(appender.Partition, error, failure.Message, leftOut);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Appending to {Partition} failed; producers get {Error}: {Reason}{LeftOut}")]
    private partial void LogAppendFailed(TopicPartition partition, ErrorCode error, string reason, string leftOut);
}
