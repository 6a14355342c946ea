using System.Text.RegularExpressions;
using Arus.Grains;

namespace Arus.Client;

internal sealed partial class Consumer<TKey, TValue> : IConsumer<TKey, TValue>
{
    private readonly ConsumerCore _core;
    private readonly GroupSession _session;
    private readonly GroupMembershipFactory _groups;
    private readonly IRecordSerializer<TKey> _keySerializer;
    private readonly IRecordSerializer<TValue> _valueSerializer;
    private bool _isAssignedByHand;
    private volatile bool _isDisposed;

    public Consumer(
        ConsumerCore core, GroupMembershipFactory groups, TopicMetadata topics, IRecordSerializer<TKey> keySerializer,
        IRecordSerializer<TValue> valueSerializer)
    {
        _core = core;
        _groups = groups;
        _keySerializer = keySerializer;
        _valueSerializer = valueSerializer;
        _session = new GroupSession(core, topics);
        _makeRoom = MakeRoom;
    }

    public IReadOnlyList<TopicPartition> Assignment => _core.Assignment;

    public string MemberId => _session.Membership?.Identity.MemberId ?? "";

    public void Subscribe(params IReadOnlyCollection<string> topics)
    {
        CheckMaySubscribe();
        foreach (string topic in topics)
        {
            ValidationResult name = TopicName.Validate(topic);
            if (!name.IsOk)
                throw new ArusException(name.Error, name.Message!);
        }

        _session.Subscribe(_groups, topics);
        _session.Offsets.StartAutoCommit();
    }

    public void Subscribe(Regex pattern)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        CheckMaySubscribe();
        _session.Subscribe(_groups, pattern);
        _session.Offsets.StartAutoCommit();
    }

    public async Task UnsubscribeAsync(CancellationToken cancellationToken = default)
    {
        MarkProcessed();
        await _session.LeaveAsync("the consumer unsubscribed", cancellationToken).ConfigureAwait(false);
    }

    public void Assign(params IReadOnlyCollection<TopicPartitionOffset> partitions)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (_session.Membership is not null)
            throw new InvalidOperationException("There is a subscription; a consumer either assigns or subscribes.");

        _isAssignedByHand = true;
        _core.Remove(null);
        _core.Add(partitions);
        _session.Offsets.StartAutoCommit();
    }

    public void Seek(TopicPartition partition, long offset)
    {
        if (offset is < 0 and not (TopicPartitionOffset.Beginning or TopicPartitionOffset.End or TopicPartitionOffset.Stored))
        {
            throw new ArgumentOutOfRangeException(
                nameof(offset), offset, "An offset is 0 or more, or one of the constants of TopicPartitionOffset.");
        }

        _core.Seek(partition, offset);
    }

    public void Pause(params IReadOnlyCollection<TopicPartition> partitions) => _core.SetPaused(partitions, paused: true);

    public void Resume(params IReadOnlyCollection<TopicPartition> partitions) => _core.SetPaused(partitions, paused: false);

    public long? Position(TopicPartition partition) => _core.Get(partition).Delivered is >= 0 and var position ? position : null;

    public long? Lag(TopicPartition partition) => _core.Get(partition).Lag;

    public async Task<IReadOnlyList<TopicPartitionOffset>> OffsetsForTimeAsync(
        IReadOnlyCollection<TopicPartition> partitions, DateTimeOffset time, CancellationToken cancellationToken = default)
    {
        long timestamp = Math.Max(0, time.ToUnixTimeMilliseconds());
        return await Task.WhenAll(partitions.Select(async partition =>
            new TopicPartitionOffset(
                partition, await _core.OffsetForTimeAsync(partition, timestamp, cancellationToken).ConfigureAwait(false))))
            .ConfigureAwait(false);
    }

    public Task CommitAsync(CancellationToken cancellationToken = default) =>
        _session.Offsets.CommitDeliveredAsync(_core.All(), cancellationToken);

    public Task CommitAsync(IReadOnlyCollection<TopicPartitionOffset> offsets, CancellationToken cancellationToken = default)
    {
        TopicPartitionOffset wrong = offsets.FirstOrDefault(o => o.Offset < 0);
        return wrong.Partition.Topic is null
            ? _session.Offsets.CommitAsync(
                offsets.Select(o => new CommittedOffset(o.Partition, o.Offset, LeaderEpoch: -1, "")), cancellationToken)
            : throw new ArgumentException(
                $"The offset to commit of {wrong.Partition} is {wrong.Offset}; it must be 0 or more.", nameof(offsets));
    }

    public async Task<IReadOnlyList<CommittedOffset>> CommittedAsync(
        IReadOnlyCollection<TopicPartition> partitions, CancellationToken cancellationToken = default) =>
        await _core.FetchCommittedAsync([.. partitions], cancellationToken).ConfigureAwait(false);

    /// <summary>Commits what is processed, where auto-commit is on, and leaves the group.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_isDisposed)
            return;

        _isDisposed = true;
        await _session.DisposeAsync().ConfigureAwait(false);
        try
        {
            if (_session.Membership is not null)
                await _session.LeaveAsync("the consumer was closed", CancellationToken.None).ConfigureAwait(false);
            else if (_core.Options is { EnableAutoCommit: true, GroupId: not null })
                await _session.Offsets.CommitProcessedAsync(_core.All(), CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            _core.Remove(null);
        }
    }

    private void CheckMaySubscribe()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (_core.Options.GroupId is null)
            throw new InvalidOperationException("Subscribing needs a consumer with group.id; without one, use Assign.");

        if (_isAssignedByHand)
            throw new InvalidOperationException("Partitions were assigned by hand; a consumer either assigns or subscribes.");
    }
}
