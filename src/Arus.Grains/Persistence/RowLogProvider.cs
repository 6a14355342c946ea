using Arus.Storage;
using Arus.Storage.Rows;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>Opens logs whose records are rows of a grain storage that all brokers share: any can lead any partition.</summary>
public sealed class RowLogProvider(IGrainStorage storage, RowLogOptions options) : IPartitionLogProvider
{
    /// <inheritdoc/>
    public async ValueTask<IPartitionLog> OpenAsync(
        TopicPartition partition, Guid topicId, TopicConfig config, int leaderEpoch = -1, LogReplication? replication = null,
        CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var store = new GrainStorageRowStore(storage, partition, topicId);
        return await RowPartitionLog.OpenAsync(partition, store, config, options, leaderEpoch).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DeleteAsync(TopicPartition partition, Guid topicId)
    {
        TopicConfig config = TopicConfig.Resolve(new Dictionary<string, string>(), BrokerConfig.Default);
        IPartitionLog log = await OpenAsync(partition, topicId, config).ConfigureAwait(false);
        await log.DeleteAsync().ConfigureAwait(false);
    }

    /// <summary>Nothing is shared between the logs, which are closed by those who opened them.</summary>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
