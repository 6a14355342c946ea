using System.Collections.Concurrent;
using Arus.Storage;

namespace Arus.Grains;

/// <summary>The logs that are open in this process, one for each partition that it leads. Safe for use by any thread.</summary>
/// <remarks>
/// A partition may for a moment have two activations here. The log provider closes the older one's log before it opens the newer
/// one's; the older activation is told, so that it goes.
/// </remarks>
internal sealed class LocalPartitions
{
    private readonly IPartitionLogProvider _provider;
    private readonly ConcurrentDictionary<TopicPartition, OpenPartition> _open = new();
    private volatile bool _stopping;

    public LocalPartitions(IPartitionLogProvider provider, BrokerMetrics metrics)
    {
        _provider = provider;
        metrics.ObserveOpenPartitions(() => _open.Count);
    }

    public ICollection<OpenPartition> Open => _open.Values;

    /// <summary>The broker begins to stop: waits end, so that nothing holds up the stop.</summary>
    public void Stop()
    {
        _stopping = true;
        foreach (OpenPartition partition in _open.Values)
        {
            partition.End();
        }
    }

    /// <param name="superseded">Called from any thread when a newer activation takes the log.</param>
    /// <exception cref="LogException">The log cannot be opened.</exception>
    public async Task<OpenPartition> OpenAsync(
        TopicPartition partition, Guid topicId, TopicConfig config, Action superseded, CancellationToken cancellationToken)
    {
        var mine = new OpenPartition(partition, this, superseded);
        while (!_open.TryAdd(partition, mine))
        {
            if (_open.TryRemove(partition, out OpenPartition? other))
            {
                other.Supersede();
            }
        }

        try
        {
            mine.Log = await _provider.OpenAsync(partition, topicId, config, cancellationToken);
            if (_stopping)
            {
                mine.End();
            }

            return mine;
        }
        catch
        {
            Release(mine);
            throw;
        }
    }

    /// <summary>
    /// Deletes what a partition's log holds, whichever activation has it open, if any. That one is told, so that it goes.
    /// </summary>
    /// <exception cref="LogException">The log cannot be deleted; it can be tried again.</exception>
    public async Task DeleteAsync(TopicPartition partition, Guid topicId)
    {
        if (_open.TryRemove(partition, out OpenPartition? open))
        {
            open.Supersede();
        }

        await _provider.DeleteAsync(partition, topicId);
    }

    private void Release(OpenPartition partition)
    {
        _open.TryRemove(new KeyValuePair<TopicPartition, OpenPartition>(partition.Partition, partition));
        partition.End();
    }

    internal sealed class OpenPartition(TopicPartition partition, LocalPartitions owner, Action superseded)
    {
        private readonly CancellationTokenSource _ending = new();

        public TopicPartition Partition { get; } = partition;

        /// <summary>Null while it is being opened.</summary>
        public IPartitionLog? Log { get; set; }

        /// <summary>Tripped when the log is let go of: whoever waits for records waits no more.</summary>
        public CancellationToken Ending => _ending.Token;

        public void Supersede()
        {
            _ending.Cancel();
            superseded();
        }

        /// <summary>Cancels rather than disposes, since others may be about to cancel as well; a source without a timer holds nothing.</summary>
        public void End() => _ending.Cancel();

        public async Task CloseAsync()
        {
            try
            {
                await Log!.DisposeAsync();
            }
            finally
            {
                owner.Release(this);
            }
        }    }
}
