using System.Collections.Concurrent;
using Arus.Storage;

namespace Arus.Grains;

/// <summary>
/// The logs that are open in this process, one for each partition that it leads. Safe for use by any thread.
/// </summary>
/// <remarks>
/// A partition may for a moment have two activations here. The newer one asks the older to close and waits for it, so that two never
/// write the same files.
/// </remarks>
internal sealed class LocalPartitions : IDisposable
{
    private static readonly TimeSpan s_handover = TimeSpan.FromSeconds(10);

    private readonly IPartitionLogProvider _provider;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _stopping = new();
    private readonly ConcurrentDictionary<TopicPartition, OpenPartition> _open = new();

    public LocalPartitions(IPartitionLogProvider provider, TimeProvider time, BrokerMetrics metrics)
    {
        _provider = provider;
        _time = time;
        metrics.ObserveOpenPartitions(() => _open.Count);
    }

    /// <summary>Tripped when the broker begins to stop: waits end, so that nothing holds up the stop.</summary>
    public CancellationToken Stopping => _stopping.Token;

    public ICollection<OpenPartition> Open => _open.Values;

    public void Stop() => _stopping.Cancel();

    /// <param name="yield">Called from any thread when a newer activation wants the log.</param>
    /// <exception cref="LogException">The log cannot be opened.</exception>
    /// <exception cref="TimeoutException">Another activation did not let go of it.</exception>
    public async Task<OpenPartition> OpenAsync(
        TopicPartition partition, Guid topicId, TopicConfig config, Action yield, CancellationToken cancellationToken)
    {
        var mine = new OpenPartition(partition, this, yield);
        while (!_open.TryAdd(partition, mine))
        {
            if (_open.TryGetValue(partition, out OpenPartition? other))
            {
                other.Yield();
                await other.Closed.WaitAsync(s_handover, _time, cancellationToken);
            }
        }

        try
        {
            // Recovery reads files, which a grain's turn must not wait for on its scheduler.
            mine.Log = await Task.Run(() => _provider.OpenAsync(partition, topicId, config, cancellationToken).AsTask(), cancellationToken);
            return mine;
        }
        catch
        {
            Release(mine);
            throw;
        }
    }

    public void Dispose() => _stopping.Dispose();

    private void Release(OpenPartition partition)
    {
        _open.TryRemove(new KeyValuePair<TopicPartition, OpenPartition>(partition.Partition, partition));
        partition.MarkClosed();
    }

    internal sealed class OpenPartition(TopicPartition partition, LocalPartitions owner, Action yield)
    {
        private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly CancellationTokenSource _ending = CancellationTokenSource.CreateLinkedTokenSource(owner.Stopping);

        public TopicPartition Partition { get; } = partition;

        /// <summary>Null while it is being opened.</summary>
        public IPartitionLog? Log { get; set; }

        public Task Closed => _closed.Task;

        /// <summary>Tripped when the log is to be let go of: whoever waits for records waits no more.</summary>
        public CancellationToken Ending => _ending.Token;

        public void Yield()
        {
            _ending.Cancel();
            yield();
        }

        public void MarkClosed()
        {
            // Not disposed of: a newer activation may be about to cancel it. Cancelling ends its link to the owner's source as well.
            _ending.Cancel();
            _closed.TrySetResult();
        }

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
        }

        public async Task DeleteAsync()
        {
            try
            {
                await Log!.DeleteAsync();
            }
            finally
            {
                owner.Release(this);
            }
        }
    }
}
