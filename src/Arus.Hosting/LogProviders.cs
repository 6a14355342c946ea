using Arus.Grains;
using Arus.Storage;
using Arus.Storage.Rows;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Storage;

namespace Arus.Hosting;

/// <summary>Makes the logs that the configuration asks for.</summary>
internal static class LogProviders
{
    /// <param name="type">Of topics that are kept elsewhere than the broker's others; null for the broker's own type.</param>
    public static IPartitionLogProvider Create(BrokerConfig config, IServiceProvider services, string? type = null)
    {
        ILogger logger = services.GetRequiredService<ILoggerFactory>().CreateLogger("Arus.Storage");
        var options = new LogProviderOptions
        {
            Directory = services.GetRequiredService<DataDirectory>().Topics,
            Flush = FlushPolicy.Parse(config.GetString(BrokerConfigs.Flush)!),
            Time = services.GetRequiredService<TimeProvider>(),
            IoThreads = config.GetInt(BrokerConfigs.LogIoThreads),
            CacheBytes = config.GetLong(BrokerConfigs.LogCacheBytes),
            BootId = ReadBootId(),
            NewLogId = Guid.NewGuid,
            HighWatermarkCheckpointInterval = config.GetTimerPeriod(BrokerConfigs.ReplicaHighWatermarkCheckpointIntervalMs),
            OnEvent = logEvent => Report(logger, logEvent),
        };
        return (type ?? config.GetString(BrokerConfigs.LogType)) switch
        {
            BrokerConfigs.LogTypeMemory => new LogProvider(options, new MemoryFileSystem()),
            BrokerConfigs.LogTypeStorage => new RowLogProvider(
                services.GetRequiredKeyedService<IGrainStorage>(StorageNames.Metadata),
                new RowLogOptions { Time = options.Time }),
            _ => new LogProvider(options),
        };
    }

    /// <summary>
    /// Another one for each run of the machine's kernel, also in containers (Linux: random(4)). Empty where there is none.
    /// </summary>
    public static Guid ReadBootId()
    {
        const string Path = "/proc/sys/kernel/random/boot_id";
        try
        {
            return Guid.TryParse(File.ReadAllText(Path), out Guid id) ? id : Guid.Empty;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return Guid.Empty;
        }
    }

    private static void Report(ILogger logger, LogEvent logEvent)
    {
        LogLevel level = logEvent.Kind switch
        {
            LogEventKind.Failed or LogEventKind.TailMissing or LogEventKind.Damaged or LogEventKind.RecordsMissing => LogLevel.Error,
            LogEventKind.TailTruncated or LogEventKind.SetAside or LogEventKind.Renewed => LogLevel.Warning,
            _ => LogLevel.Information,
        };

        // Of an error of the disk the message says all that there is to know.
        Exception? unexpected = logEvent.Error is IOException ? null : logEvent.Error;
        logger.Log(level, unexpected, "{Partition}: {Message}", logEvent.Partition, logEvent.Message);
    }
}
