using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Arus.Kafka;

/// <summary>Closes idle connections and forgets idle appenders, now and then.</summary>
internal sealed partial class GatewayHousekeeping(
    ConnectionRegistry connections, AppendScheduler appends, GatewayOptions options, TimeProvider time, ILogger<GatewayHousekeeping> logger)
    : BackgroundService
{
    private static readonly TimeSpan LongestPeriod = TimeSpan.FromSeconds(30);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        TimeSpan half = options.MaxIdle / 2;
        using var timer = new PeriodicTimer(half < LongestPeriod ? half : LongestPeriod, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                RunOnce();
            }
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
            {
                connection.CloseIdle();
            }
        }

        appends.Sweep();
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Housekeeping ends")]
    private static partial void LogStopped(ILogger logger);
}
