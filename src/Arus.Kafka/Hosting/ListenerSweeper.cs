using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Arus.Kafka;

/// <summary>
/// Periodically closes connections that are idle or too slow, removes idle appenders, and lets go the buffers that a burst left.
/// </summary>
internal sealed partial class ListenerSweeper(
    ConnectionRegistry connections, AppendScheduler appends, RequestMemory memory, TransportMemoryPool transport,
    KafkaListenerOptions options, TimeProvider time, ILogger<ListenerSweeper> logger)
    : BackgroundService
{
    private static readonly TimeSpan MaxPeriod = TimeSpan.FromSeconds(10);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // A limit is exceeded by no more than half of it.
        long ticks = Math.Min(MaxPeriod.Ticks, Math.Min(options.MaxIdle.Ticks, options.MaxReceiveTime.Ticks) / 2);
        using var timer = new PeriodicTimer(TimeSpan.FromTicks(ticks), time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
                RunOnce();
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            LogStopped(logger);
        }
    }

    internal void RunOnce()
    {
        foreach (KafkaConnection connection in connections.Snapshot())
            connection.CloseIfLate();

        appends.Sweep();
        memory.Buffers.Trim();
        transport.Trim();
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The sweep of connections stops")]
    private static partial void LogStopped(ILogger logger);
}
