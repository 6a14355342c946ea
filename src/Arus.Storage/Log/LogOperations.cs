using System.Collections.Immutable;

namespace Arus.Storage;

/// <summary>
/// Runs what changes the log besides appending: on the I/O thread, one after the other, each after everything queued is written and
/// with appends kept out.
/// </summary>
internal sealed class LogOperations(LogContext log, SegmentList segments, LogAppender appender, LogWriter writer)
{
    private ImmutableQueue<ILogWork> _queue = [];

    /// <summary>Queues an operation. An exception in it fails the log.</summary>
    /// <exception cref="LogException">The operation failed, or the log had failed or was closed before.</exception>
    public Task<T> RunAsync<T>(Func<T> operation, bool evenIfFailed = false)
    {
        var task = new LogTask<T>(
            () =>
            {
                if (!evenIfFailed)
                    log.ThrowIfUnusable(log.Phase == LogPhase.Closed);

                try
                {
                    return operation();
                }
                catch (Exception error)
                {
                    log.Fail(error);
                    throw;
                }
            },
            error => error as LogException ?? new LogException($"The log in {log.Directory} failed: {error.Message}", error));
        ImmutableInterlocked.Enqueue(ref _queue, task);
        log.ScheduleIo();
        return task.Task;
    }

    /// <summary>Runs what is queued. Called on the I/O thread.</summary>
    public void Execute()
    {
        while (ImmutableInterlocked.TryDequeue(ref _queue, out ILogWork? operation))
        {
            using (appender.Exclude())
            {
                writer.WritePending();
                operation.Execute();
                appender.Reset();
            }
        }

        log.AdvanceWaiters(segments.HighWatermark, segments.LastStableOffset);
    }
}
