using System.Collections.Concurrent;
using Arus.Storage;

namespace Arus.Grains;

/// <summary>The logs that are open in this process, one for each partition that it leads. Safe for use by any thread.</summary>
/// <remarks>
/// A partition may for a moment have two activations here. The newer leader epoch wins: who claims the partition for an older one is
/// refused, and the older activation that holds it is told, so that it goes. The log provider lets whoever opens last have the log, so
/// openings of one partition come one after the other, in the order of their epochs.
/// </remarks>
internal sealed class LocalPartitions
{
    private readonly IPartitionLogProvider _provider;
    private readonly ConcurrentDictionary<TopicPartition, OpenPartition> _open = new();
    private readonly Lock _claiming = new();
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

    /// <summary>
    /// Takes a partition over from older epochs; null when a newer one has it. The claimant then makes sure that its epoch still is the
    /// newest, and opens or gives up the claim: whoever raises the epoch after that look claims later, and supersedes this claim.
    /// </summary>
    /// <param name="leaderEpoch">Of the claimant. Epochs of topics that are not the same are not compared.</param>
    /// <param name="superseded">Called from any thread when a newer activation takes the partition.</param>
    public OpenPartition? TryClaim(TopicPartition partition, Guid topicId, int leaderEpoch, Action superseded)
    {
        OpenPartition? other;
        OpenPartition mine;
        lock (_claiming)
        {
            other = _open.GetValueOrDefault(partition);
            if (other is not null && other.TopicId == topicId && other.LeaderEpoch > leaderEpoch)
            {
                return null;
            }

            mine = new OpenPartition(this, partition, topicId, leaderEpoch, superseded, other?.Supersede() ?? Task.CompletedTask);
            _open[partition] = mine;
        }

        other?.Leave();
        if (_stopping)
        {
            mine.End();
        }

        return mine;
    }

    /// <summary>
    /// Deletes what a topic's partition holds, whichever activation has its log open, if any. That one is told, so that it goes. Does
    /// nothing when the partition is open for another topic of the same name; one that claims it meanwhile opens its log afterwards.
    /// </summary>
    /// <exception cref="LogException">The log cannot be deleted; it can be tried again.</exception>
    public async Task DeleteAsync(TopicPartition partition, Guid topicId)
    {
        OpenPartition? open;
        OpenPartition deletion;
        lock (_claiming)
        {
            open = _open.GetValueOrDefault(partition);
            if (open is not null && open.TopicId != topicId)
            {
                return;
            }

            // In the place of a claim, above all epochs.
            deletion = new OpenPartition(this, partition, topicId, int.MaxValue, static () => { }, open?.Supersede() ?? Task.CompletedTask);
            deletion.BeginDeletion();
            _open[partition] = deletion;
        }

        open?.Leave();
        await deletion.DeleteAsync();
    }

    private void Release(OpenPartition partition)
    {
        _open.TryRemove(new KeyValuePair<TopicPartition, OpenPartition>(partition.Partition, partition));
        partition.End();
    }

    /// <summary>A claim on a partition, with its log once that is open.</summary>
    /// <param name="before">Ends when nobody before is opening the log any more.</param>
    internal sealed class OpenPartition(
        LocalPartitions owner, TopicPartition partition, Guid topicId, int leaderEpoch, Action superseded, Task before)
    {
        private readonly CancellationTokenSource _ending = new();
        private readonly Lock _gate = new();
        private readonly TaskCompletionSource _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private bool _opening;
        private bool _superseded;

        public TopicPartition Partition { get; } = partition;

        public Guid TopicId { get; } = topicId;

        public int LeaderEpoch { get; } = leaderEpoch;

        /// <summary>Null until it is open.</summary>
        public IPartitionLog? Log { get; private set; }

        /// <summary>Tripped when the log is let go of: whoever waits for records waits no more.</summary>
        public CancellationToken Ending => _ending.Token;

        /// <summary>A newer activation has the partition: nothing may be served from this log any more.</summary>
        public bool IsSuperseded
        {
            get
            {
                lock (_gate)
                {
                    return _superseded;
                }
            }
        }

        /// <summary>Opens the log, after those that were being opened before it. Called once.</summary>
        /// <returns>False when a newer activation took the partition meanwhile.</returns>
        /// <exception cref="LogException">The log cannot be opened.</exception>
        public async Task<bool> OpenAsync(TopicConfig config, CancellationToken cancellationToken)
        {
            try
            {
                await before.WaitAsync(cancellationToken);
                Log = TryBegin() ? await OpenLogAsync(config, cancellationToken) : null;
            }
            catch
            {
                owner.Release(this);
                throw;
            }

            if (!IsSuperseded)
            {
                return true;
            }

            await CloseAsync();
            return false;
        }

        /// <summary>Cancels rather than disposes, since others may be about to cancel as well; a source without a timer holds nothing.</summary>
        public void End() => _ending.Cancel();

        public async Task CloseAsync()
        {
            try
            {
                await (Log?.DisposeAsync() ?? ValueTask.CompletedTask);
            }
            finally
            {
                owner.Release(this);
            }
        }

        /// <summary>
        /// From now on another has the partition. Answers a task that ends when an opening or a deletion that had begun is over.
        /// </summary>
        internal Task Supersede()
        {
            lock (_gate)
            {
                _superseded = true;
                return _opening ? _opened.Task : before;
            }
        }

        /// <summary>Ends the waits of one that is superseded, and tells it to go.</summary>
        internal void Leave()
        {
            _ending.Cancel();
            superseded();
        }

        /// <summary>From now on, whoever comes next waits for <see cref="DeleteAsync"/>.</summary>
        internal void BeginDeletion() => _opening = true;

        internal async Task DeleteAsync()
        {
            try
            {
                await before.ConfigureAwait(false);
                await owner._provider.DeleteAsync(Partition, TopicId).ConfigureAwait(false);
            }
            finally
            {
                owner.Release(this);
                _opened.SetResult();
            }
        }

        private bool TryBegin()
        {
            lock (_gate)
            {
                return _opening = !_superseded;
            }
        }

        // Goes on outside of the grain, whose successor waits for the end of it.
        private async Task<IPartitionLog> OpenLogAsync(TopicConfig config, CancellationToken cancellationToken)
        {
            try
            {
                return await owner._provider.OpenAsync(Partition, TopicId, config, LeaderEpoch, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                _opened.SetResult();
            }
        }
    }
}
