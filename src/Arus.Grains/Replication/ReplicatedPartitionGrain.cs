using System.Diagnostics.CodeAnalysis;
using Arus.Coordination.Replication;
using Arus.Storage;
using Microsoft.Extensions.Logging;
using Orleans.GrainDirectory;

namespace Arus.Grains;

/// <inheritdoc cref="IPartitionGrain"/>
/// <remarks>
/// In a cluster: the leader's face. It holds nothing, but looks up for each call whether this broker leads. Where it does not, the call is
/// answered with the reason, and the activation goes: the next one is refused by <see cref="PartitionDirectory"/> if another broker leads,
/// and its calls go there.
/// </remarks>
[GrainDirectory(PartitionDirectory.Name), ReplicaPlacement]
internal sealed class ReplicatedPartitionGrain(
    ReplicationHost host, PartitionImage image, LocalBroker broker, ILogger<ReplicatedPartitionGrain> logger) : LeaderGrain
{
    /// <summary>How long an append waits for the outcome of a move of the leadership.</summary>
    private static readonly TimeSpan MovePatience = TimeSpan.FromSeconds(2);

    /// <summary>How long a call waits for the replicas at most: less than callers wait for it, so that they learn how it ended.</summary>
    private const int MaxAcknowledgementWaitMs = 10_000;

    private string _topic = "";
    private int _partition;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        (_topic, _partition) = PartitionKey.Parse(this.GetPrimaryKeyString());
        return Task.CompletedTask;
    }

    public override async Task<PartitionAppendResult> AppendAsync(PartitionAppend request)
    {
        if (!TryFind(request.TopicId, out LeaderLog? leader, out Leadership? leadership, out Rejection? rejection))
            return LeaderLog.Reject(request, rejection.Error, rejection.Message);

        if (leadership.View.HoldsAppends && !await leadership.WaitUntilAppendableAsync(MovePatience))
            return LeaderLog.Reject(request, Rejection.Moving.Error, Rejection.Moving.Message);

        return await leader.AppendAsync(
            request.TimeoutMs <= MaxAcknowledgementWaitMs ? request : request with { TimeoutMs = MaxAcknowledgementWaitMs });
    }

    public override async Task<ErrorCode> WriteMarkerAsync(TransactionMarker marker) =>
        !TryFind(marker.TopicId, out LeaderLog? leader, out Leadership? leadership, out Rejection? rejection) ? rejection.Error
        : leadership.View.HoldsAppends && !await leadership.WaitUntilAppendableAsync(MovePatience) ? Rejection.Moving.Error
        : await leader.WriteMarkerAsync(marker);

    public override Task<PartitionDescription> DescribeAsync() => Task.FromResult(
        TryFind(Guid.Empty, out LeaderLog? leader, out _, out Rejection? rejection)
        ? leader.Describe(broker.BrokerId)
        : new PartitionDescription(rejection.Error, -1, -1, -1, -1, -1, 0, 0));

    /// <summary>Brokers are told of a topic's configuration, not partitions.</summary>
    public override Task ReconfigureAsync() => Task.CompletedTask;

    /// <summary>The states of a topic's partitions are marked as deleted, which every broker hears of.</summary>
    public override Task DeleteAsync(Guid topicId) => Task.CompletedTask;

    private bool TryFind(
        Guid topicId, [NotNullWhen(true)] out LeaderLog? leader, [NotNullWhen(true)] out Leadership? leadership,
        [NotNullWhen(false)] out Rejection? rejection)
    {
        PartitionState? state = image.Find(_topic, _partition);
        Replica? replica = state is null ? null : host.Find(state.Id);
        (leader, leadership) = (replica?.Leader, replica?.Leadership);
        rejection = Check(state, topicId);
        if (rejection is null && leader is not null && leadership is not null)
            return true;

        // Another topic's call says nothing about this one.
        if (rejection != Rejection.OtherTopic && state?.Leader != broker.BrokerId)
            DeactivateOnIdle();

        rejection ??= Rejection.Moving;
        return false;
    }

    private Rejection? Check(PartitionState? state, Guid topicId) =>
        state is null ? new Rejection(ErrorCode.UnknownTopicOrPartition, $"There is no partition {_partition} of a topic '{_topic}' yet.")
        : topicId != Guid.Empty && topicId != state.Id.TopicId ? Rejection.OtherTopic
        : null;

    /// <inheritdoc/>
    protected override async Task<T> ReadAsync<TRequest, T>(
        TRequest request, Guid topicId, Func<LeaderLog, TRequest, CancellationToken, Task<T>> read, Func<ErrorCode, T> reject)
    {
        if (!TryFind(topicId, out LeaderLog? leader, out Leadership? leadership, out Rejection? rejection))
            return reject(rejection.Error);

        try
        {
            return await read(leader, request, leadership.Ended);
        }
        catch (OperationCanceledException) when (leadership.Ended.IsCancellationRequested)
        {
            return reject(EndOf());
        }
        catch (Exception e) when (e is LogException or ObjectDisposedException || StorageFailure.Is(e))
        {
            if (leadership.Ended.IsCancellationRequested || e is ObjectDisposedException)
                return reject(EndOf());

            logger.LogError("The log of {Topic}-{Partition} cannot be read: {Reason}", _topic, _partition, e.GetBaseException().Message);
            return reject(ErrorCode.KafkaStorageError);
        }
    }

    private ErrorCode EndOf() =>
        image.Find(_topic, _partition) is null ? ErrorCode.UnknownTopicOrPartition : ErrorCode.NotLeaderOrFollower;
}
