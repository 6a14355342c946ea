using System.Text.RegularExpressions;
using Arus.Grains;

namespace Arus.Client;

internal sealed partial class Consumer<TKey, TValue> : IConsumer<TKey, TValue>
{
    private readonly ConsumerCore core;
    private readonly GroupSession session;
    private readonly GroupMembershipFactory groups;
    private readonly IRecordSerializer<TKey> keySerializer;
    private readonly IRecordSerializer<TValue> valueSerializer;
    private bool isAssignedByHand;
    private volatile bool isDisposed;

    public Consumer(
        ConsumerCore core, GroupMembershipFactory groups, TopicMetadata topics, IRecordSerializer<TKey> keySerializer,
        IRecordSerializer<TValue> valueSerializer)
    {
        this.core = core;
        this.groups = groups;
        this.keySerializer = keySerializer;
        this.valueSerializer = valueSerializer;
        session = new GroupSession(core, topics);
        makeRoom = MakeRoom;
    }

    public IReadOnlyList<TopicPartition> Assignment => core.Assignment;

    public string MemberId => session.Membership?.Identity.MemberId ?? "";

    public void Subscribe(params IReadOnlyCollection<string> topics)
    {
        CheckMaySubscribe();
        foreach (string topic in topics)
        {
            ValidationResult name = TopicName.Validate(topic);
            if (!name.IsOk)
            {
                throw new ArusException(name.Error, name.Message!);
            }
        }

        session.Subscribe(groups, topics);
        session.Offsets.StartAutoCommit();
    }

    public void Subscribe(Regex pattern)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        CheckMaySubscribe();
        session.Subscribe(groups, pattern);
        session.Offsets.StartAutoCommit();
    }

    public async Task UnsubscribeAsync(CancellationToken cancellationToken = default)
    {
        MarkProcessed();
        await session.LeaveAsync("the consumer unsubscribed", cancellationToken).ConfigureAwait(false);
    }

    public void Assign(params IReadOnlyCollection<TopicPartitionOffset> partitions)
    {
        ObjectDisposedException.ThrowIf(isDisposed, this);
        if (session.Membership is not null)
        {
            throw new InvalidOperationException("There is a subscription; a consumer either assigns or subscribes.");
        }

        isAssignedByHand = true;
        core.Remove(null);
        core.Add(partitions);
        session.Offsets.StartAutoCommit();
    }

    public void Seek(TopicPartition partition, long offset)
    {
        if (offset is < 0 and not (TopicPartitionOffset.Beginning or TopicPartitionOffset.End or TopicPartitionOffset.Stored))
        {
            throw new ArgumentOutOfRangeException(nameof(offset), offset, "An offset is 0 or more, or one of the constants of TopicPartitionOffset.");
        }

        core.Seek(partition, offset);
    }

    public void Pause(params IReadOnlyCollection<TopicPartition> partitions) => core.SetPaused(partitions, paused: true);

    public void Resume(params IReadOnlyCollection<TopicPartition> partitions) => core.SetPaused(partitions, paused: false);

    public long? Position(TopicPartition partition) => core.Get(partition).Delivered is >= 0 and var position ? position : null;

    public long? Lag(TopicPartition partition) => core.Get(partition).Lag;

    public async Task<IReadOnlyList<TopicPartitionOffset>> OffsetsForTimeAsync(
        IReadOnlyCollection<TopicPartition> partitions, DateTimeOffset time, CancellationToken cancellationToken = default)
    {
        long timestamp = Math.Max(0, time.ToUnixTimeMilliseconds());
        return await Task.WhenAll(partitions.Select(async partition =>
            new TopicPartitionOffset(partition, await core.OffsetForTimeAsync(partition, timestamp, cancellationToken).ConfigureAwait(false))))
            .ConfigureAwait(false);
    }

    public Task CommitAsync(CancellationToken cancellationToken = default) =>
        session.Offsets.CommitDeliveredAsync(core.All(), cancellationToken);

    public Task CommitAsync(IReadOnlyCollection<TopicPartitionOffset> offsets, CancellationToken cancellationToken = default)
    {
        TopicPartitionOffset wrong = offsets.FirstOrDefault(o => o.Offset < 0);
        return wrong.Partition.Topic is null
            ? session.Offsets.CommitAsync(offsets.Select(o => new CommittedOffset(o.Partition, o.Offset, LeaderEpoch: -1, "")), cancellationToken)
            : throw new ArgumentException($"The offset to commit of {wrong.Partition} is {wrong.Offset}; it must be 0 or more.", nameof(offsets));
    }

    public async Task<IReadOnlyList<CommittedOffset>> CommittedAsync(
        IReadOnlyCollection<TopicPartition> partitions, CancellationToken cancellationToken = default) =>
        await core.FetchCommittedAsync([.. partitions], cancellationToken).ConfigureAwait(false);

    /// <summary>Commits what is processed, where auto-commit is on, and leaves the group.</summary>
    public async ValueTask DisposeAsync()
    {
        if (isDisposed)
        {
            return;
        }

        isDisposed = true;
        await session.DisposeAsync().ConfigureAwait(false);
        try
        {
            if (session.Membership is not null)
            {
                await session.LeaveAsync("the consumer was closed", CancellationToken.None).ConfigureAwait(false);
            }
            else if (core.Options is { EnableAutoCommit: true, GroupId: not null })
            {
                await session.Offsets.CommitProcessedAsync(core.All(), CancellationToken.None).ConfigureAwait(false);
            }
        }
        finally
        {
            core.Remove(null);
        }
    }

    private void CheckMaySubscribe()
    {
        ObjectDisposedException.ThrowIf(isDisposed, this);
        if (core.Options.GroupId is null)
        {
            throw new InvalidOperationException("Subscribing needs a consumer with group.id; without one, use Assign.");
        }

        if (isAssignedByHand)
        {
            throw new InvalidOperationException("Partitions were assigned by hand; a consumer either assigns or subscribes.");
        }
    }
}
