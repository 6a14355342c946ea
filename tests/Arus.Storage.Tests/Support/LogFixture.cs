using Arus.Testing;

namespace Arus.Storage.Tests;

/// <summary>A log provider over a file system in memory, which survives the provider.</summary>
internal sealed class LogFixture : IAsyncDisposable
{
    public static readonly TopicPartition Partition = new("orders", 0);

    public ILogFileSystem FileSystem { get; init; } = new MemoryFileSystem();

    public ManualTimeProvider Time { get; } = new();

    public List<LogEvent> Events { get; } = [];

    public LogProviderOptions Options { get; set; }

    public LogProvider? Provider { get; private set; }

    public string Directory => Path.Combine(Options.Directory, Partition.ToString());

    public LogFixture()
    {
        Options = new LogProviderOptions
        {
            Directory = "/logs", Time = Time, IoThreads = 1, OnEvent = entry =>
            {
                lock (Events)
                    Events.Add(entry);
            },
        };
    }

    /// <summary>Opens the log, in a new provider when the last one was closed.</summary>
    public async Task<IPartitionLog> OpenAsync(TopicConfig? config = null, Guid topicId = default, TopicPartition? partition = null)
    {
        Provider ??= new LogProvider(Options, FileSystem);
        return await Provider.OpenAsync(partition ?? Partition, topicId, config ?? LogExtensions.Config());
    }

    /// <summary>Closes everything and opens the log again.</summary>
    public async Task<IPartitionLog> ReopenAsync(TopicConfig? config = null, Guid topicId = default)
    {
        await CloseAsync();
        return await OpenAsync(config, topicId);
    }

    public async Task CloseAsync()
    {
        if (Provider is not null)
        {
            await Provider.DisposeAsync();
            Provider = null;
        }
    }

    public async ValueTask DisposeAsync() => await CloseAsync();
}
