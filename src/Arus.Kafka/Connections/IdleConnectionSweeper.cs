using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Arus.Kafka;

/// <summary>Periodically closes idle connections and removes idle appenders.</summary>
internal sealed partial class IdleConnectionSweeper(
    ConnectionRegistry connections, AppendScheduler appends, KafkaListenerOptions options, TimeProvider time,
    ILogger<IdleConnectionSweeper> logger)
    : BackgroundService
{
    private static readonly TimeSpan MaxPeriod = TimeSpan.FromSeconds(30);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        TimeSpan half = options.MaxIdle / 2;
        using var timer = new PeriodicTimer(half < MaxPeriod ? half : MaxPeriod, time);
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
        {
            if (connection.Idle >= options.MaxIdle)
                connection.CloseIdle();
        }

        appends.Sweep();
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The sweep of idle connections stops")]
    private static partial void LogStopped(ILogger logger);
}
