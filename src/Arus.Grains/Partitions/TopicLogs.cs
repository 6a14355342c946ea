using Arus.Storage;
using Microsoft.Extensions.DependencyInjection;

namespace Arus.Grains;

/// <summary>
/// Opens each topic's logs where its <c>arus.log.type</c> says. The broker's own type is the provider that its host registered; others are
/// registered under their types as keys, and made when a topic first wants one.
/// </summary>
internal sealed class TopicLogs(IServiceProvider services, LocalBroker broker) : IPartitionLogProvider
{
    private readonly string _ownType = broker.Config.GetString(BrokerConfigs.LogType)!;

    /// <exception cref="LogException">This broker has no logs of the type.</exception>
    public IPartitionLogProvider Of(string logType) =>
        Find(logType) ?? throw new LogException($"This broker keeps no logs of {TopicConfigs.LogType}={logType}.");

    public ValueTask<IPartitionLog> OpenAsync(
        TopicPartition partition, Guid topicId, TopicConfig config, int leaderEpoch = -1, LogReplication? replication = null,
        CancellationToken cancellationToken = default) =>
        Of(config.LogType).OpenAsync(partition, topicId, config, leaderEpoch, replication, cancellationToken);

    /// <summary>Deletes the partition's log of whichever type: its topic is gone, and can no longer be asked.</summary>
    public async ValueTask DeleteAsync(TopicPartition partition, Guid topicId)
    {
        foreach (string type in new HashSet<string>([_ownType, BrokerConfigs.LogTypeFile, BrokerConfigs.LogTypeStorage]))
        {
            if (Find(type) is { } provider)
                await provider.DeleteAsync(partition, topicId);
        }
    }

    /// <summary>The providers belong to the host.</summary>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private IPartitionLogProvider? Find(string logType) => logType == _ownType
        ? services.GetRequiredService<IPartitionLogProvider>()
        : services.GetKeyedService<IPartitionLogProvider>(logType);
}
