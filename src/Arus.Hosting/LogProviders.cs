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
    public static IPartitionLogProvider Create(BrokerConfig config, IServiceProvider services)
    {
        ILogger logger = services.GetRequiredService<ILoggerFactory>().CreateLogger("Arus.Storage");
        var options = new LogProviderOptions
        {
            Directory = services.GetRequiredService<DataDirectory>().Topics,
            Flush = FlushPolicy.Parse(config.GetString(BrokerConfigs.Flush)!),
            Time = services.GetRequiredService<TimeProvider>(),
            IoThreads = config.GetInt(BrokerConfigs.LogIoThreads),
            CacheBytes = config.GetLong(BrokerConfigs.LogCacheBytes),
            OnEvent = logEvent => Report(logger, logEvent),
        };
        return config.GetString(BrokerConfigs.LogType) switch
        {
            BrokerConfigs.LogTypeMemory => new LogProvider(options, new MemoryFileSystem()),
            BrokerConfigs.LogTypeStorage => new RowLogProvider(
                services.GetRequiredKeyedService<IGrainStorage>(StorageNames.Metadata),
                new RowLogOptions { Time = options.Time }),
            _ => new LogProvider(options),
        };
    }

    private static void Report(ILogger logger, LogEvent logEvent)
    {
        LogLevel level = logEvent.Kind switch
        {
            LogEventKind.Failed or LogEventKind.TailMissing or LogEventKind.Damaged or LogEventKind.RecordsMissing => LogLevel.Error,
            LogEventKind.TailTruncated or LogEventKind.SetAside => LogLevel.Warning,
            _ => LogLevel.Information,
        };

        // Of an error of the disk the message says all that there is to know.
        Exception? unexpected = logEvent.Error is IOException ? null : logEvent.Error;
        logger.Log(level, unexpected, "{Partition}: {Message}", logEvent.Partition, logEvent.Message);
    }
}
