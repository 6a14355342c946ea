using System.Text.RegularExpressions;
using Arus.Grains;

namespace Arus.Client;

internal sealed partial class Consumer<TKey, TValue>(
    ConsumerCore core, GroupMembershipFactory groups, TopicMetadata topics, IRecordSerializer<TKey> keySerializer,
    IRecordSerializer<TValue> valueSerializer) : IConsumer<TKey, TValue>
{
    private readonly GroupSession _session = new(core, topics, groups);
    private bool _isAssignedByHand;
    private volatile bool _isDisposed;

    public IReadOnlyList<TopicPartition> Assignment => core.Assignment;

    public string MemberId => core.Membership?.Identity.MemberId ?? "";

    public ConsumerGroupMetadata GroupMetadata
    {
        get
        {
            string groupId = core.Options.GroupId ?? throw new InvalidOperationException("A consumer without group.id has no group.");
            MemberIdentity member = core.Membership?.Identity ?? GroupMessages.NoMember;
            return new ConsumerGroupMetadata(groupId, member.MemberId, member.GroupInstanceId, member.GenerationId);
        }
    }

    public void Subscribe(params IReadOnlyCollection<string> topics)
    {
        CheckMaySubscribe();
        foreach (string topic in topics)
        {
            ValidationResult name = TopicName.Validate(topic);
            if (!name.IsOk)
                throw new ArusException(name.Error, name.Message!);
        }

        _session.Subscribe(pattern: null, topics);
    }

    public void Subscribe(Regex pattern)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        CheckMaySubscribe();
        _session.Subscribe(pattern, []);
    }

    public async Task UnsubscribeAsync(CancellationToken cancellationToken = default)
    {
        MarkProcessed();
        await _session.LeaveAsync("the consumer unsubscribed", cancellationToken).ConfigureAwait(false);
    }

    public void Assign(params IReadOnlyCollection<TopicPartitionOffset> partitions)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (core.Membership is not null)
            throw new InvalidOperationException("There is a subscription; a consumer either assigns or subscribes.");

        _isAssignedByHand = true;
        core.Remove(null);
        core.Add(partitions);
        _session.Offsets.StartAutoCommit();
    }

    public void Seek(TopicPartition partition, long offset)
    {
        if (offset is < 0 and not (TopicPartitionOffset.Beginning or TopicPartitionOffset.End or TopicPartitionOffset.Stored))
        {
            throw new ArgumentOutOfRangeException(
                nameof(offset), offset, "An offset is 0 or more, or one of the constants of TopicPartitionOffset.");
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
            new TopicPartitionOffset(
                partition, await core.OffsetForTimeAsync(partition, timestamp, cancellationToken).ConfigureAwait(false))))
            .ConfigureAwait(false);
    }

    public Task CommitAsync(CancellationToken cancellationToken = default) =>
        _session.Offsets.CommitAsync(core.All(), cancellationToken, unfinished: true);

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
        await core.FetchCommittedAsync([.. partitions], cancellationToken).ConfigureAwait(false);

    /// <summary>Commits what is processed, where auto-commit is on, and leaves the group.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_isDisposed)
            return;

        _isDisposed = true;
        await _session.DisposeAsync().ConfigureAwait(false);
        try
        {
            if (core.Membership is not null)
                await _session.LeaveAsync("the consumer was closed", CancellationToken.None).ConfigureAwait(false);
            else if (core.Options is { EnableAutoCommit: true, GroupId: not null })
                await _session.Offsets.CommitAsync(core.All(), CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            core.Remove(null);
        }
    }

    private void CheckMaySubscribe()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (core.Options.GroupId is null)
            throw new InvalidOperationException("Subscribing needs a consumer with group.id; without one, use Assign.");

        if (_isAssignedByHand)
            throw new InvalidOperationException("Partitions were assigned by hand; a consumer either assigns or subscribes.");
    }
}
