using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using Arus.Storage;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <inheritdoc cref="IPartitionGrain"/>
/// <remarks>
/// An activation serves as leader, or rejects and deactivates. It leads when it is on its broker, has raised the epoch and has opened the
/// log; otherwise it answers every call with the reason and deactivates, so that the next call is placed anew.
/// </remarks>
[PartitionPlacement]
internal sealed class PartitionGrain(
    [PersistentState("partition", StorageNames.Metadata)] IPersistentState<PartitionLeadership> state,
    LocalBroker broker, LocalPartitions partitions, BrokerMetrics metrics, TransactionVerifier verifier, ILogger<PartitionGrain> logger)
    : LeaderGrain
{
    /// <summary>How often a broker that cannot write its metadata tries again to lead.</summary>
    private static readonly TimeSpan RecoveryInterval = TimeSpan.FromSeconds(5);

    private string _topic = "";
    private int _partition;
    private PartitionClaim? _claim;
    private LeaderLog? _leader;
    private Rejection _rejection = Rejection.Moving;

    /// <summary>Why nothing can be written, so that the log is only read; null for a leader without limits.</summary>
    private Rejection? _readOnly;

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        (_topic, _partition) = PartitionKey.Parse(this.GetPrimaryKeyString());
        try
        {
            _rejection = await LeadAsync(cancellationToken) ?? _rejection;
        }
        catch (InconsistentStateException)
        {
            // Another activation raised the epoch at the same time; the next activation reads what it wrote.
            _rejection = Rejection.Superseded;
        }
        catch (LogException e) when (e.Error == ErrorCode.FencedLeaderEpoch)
        {
            // In a log that brokers share.
            _rejection = new Rejection(ErrorCode.NotLeaderOrFollower, e.Message);
        }
        catch (Exception e) when (e is LogException or TimeoutException || StorageFailure.Is(e))
        {
            logger.LogError(
                "Partition {Topic}-{Partition} cannot be led, its log or metadata cannot be opened: {Reason}",
                _topic, _partition, e.GetBaseException().Message);
            _rejection = new Rejection(ErrorCode.KafkaStorageError, e.Message);
        }
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        _rejection = Rejection.Moving;
        if (Release() is { } claim)
            await claim.CloseAsync();
    }

    public override async Task<PartitionAppendResult> AppendAsync(PartitionAppend request)
    {
        if (!TryGetLeader(out LeaderLog? leader))
            return LeaderLog.Reject(request, _rejection.Error, _rejection.Message);

        if ((_readOnly ?? await CheckTopicAsync(request.TopicId)) is { } rejection)
            return LeaderLog.Reject(request, rejection.Error, rejection.Message);

        PartitionAppendResult response = await leader.AppendAsync(request);
        DeactivateOnFailure(leader, response.Results.Length > 0 ? response.Results[0].Error : ErrorCode.None);
        return response;
    }

    public override async Task<ErrorCode> WriteMarkerAsync(TransactionMarker marker)
    {
        if (!TryGetLeader(out LeaderLog? leader))
            return _rejection.Error;

        if ((_readOnly ?? await CheckTopicAsync(marker.TopicId)) is { } rejection)
            return rejection.Error;

        ErrorCode error = await leader.WriteMarkerAsync(marker);
        DeactivateOnFailure(leader, error);
        return error;
    }

    public override Task<PartitionDescription> DescribeAsync() => Task.FromResult(TryGetLeader(out LeaderLog? leader)
        ? leader.Describe(broker.BrokerId)
        : new PartitionDescription(_rejection.Error, -1, -1, -1, -1, -1, 0, 0));

    public override async Task ReconfigureAsync()
    {
        if (_leader is { } leader && await Topic.DescribePartitionAsync(_partition) is { } spec)
            leader.Log.Reconfigure(TopicConfig.Resolve(spec.Configs, broker.Config));
    }

    public override async Task DeleteAsync(Guid topicId)
    {
        DeactivateOnIdle(); // Whatever it leads: the next activation reads which topic there is.
        await state.ReadStateAsync(); // Another activation may have written what this one does not know.
        if (state.RecordExists && state.State.TopicId != topicId)
        {
            // The call is late: the topic was created again since, and these are the new one's records.
            logger.LogInformation(
                "{Topic}-{Partition} is not deleted: it belongs to topic id {Current}, not {Deleted}",
                _topic, _partition, state.State.TopicId, topicId);
            return;
        }

        int leader = state.State.Leader;
        bool elsewhere = state.RecordExists && leader != broker.BrokerId && !broker.SharesLogs;
        if (!elsewhere)
        {
            // Not only the log of this activation: it may never have led, and the files may be here nevertheless.
            if (_claim?.TopicId == topicId)
            {
                Release();
                _rejection = Rejection.Deleted;
            }

            await partitions.DeleteAsync(new TopicPartition(_topic, _partition), topicId);
        }

        await Metadata.ClearAsync(topicId);
        if (elsewhere)
        {
            throw new ArusException(
                ErrorCode.LeaderNotAvailable, $"its broker {leader} is not alive and keeps the files; delete them there by hand");
        }
    }

    private PartitionMetadata Metadata => field ??= new(state, broker);

    private ITopicGrain Topic => GrainFactory.GetGrain<ITopicGrain>(_topic);

    /// <summary>Becomes the leader, or says why not.</summary>
    private async Task<Rejection?> LeadAsync(CancellationToken cancellationToken)
    {
        if (await Topic.DescribePartitionAsync(_partition) is not { } spec)
            return new Rejection(ErrorCode.UnknownTopicOrPartition, $"There is no partition {_partition} of a topic '{_topic}'.");

        if (spec.Replicas[0] != broker.BrokerId && !broker.SharesLogs)
        {
            return new Rejection(
                ErrorCode.LeaderNotAvailable, $"Broker {spec.Replicas[0]}, which has the records of {_topic}-{_partition}, is not alive.");
        }

        int epoch;
        try
        {
            epoch = await Metadata.RaiseEpochAsync(spec);
        }
        catch (Exception e) when (StorageFailure.Is(e) && Metadata.IsOnlyHere(spec))
        {
            epoch = BeginReadOnly(spec, e.GetBaseException().Message);
        }

        PartitionClaim? claim = partitions.TryClaim(new TopicPartition(_topic, _partition), spec.TopicId, epoch, OnSuperseded);
        if (claim is null)
            return Rejection.Superseded;

        Rejection? rejection = Rejection.Superseded;
        try
        {
            rejection = await OpenAsync(claim, spec, cancellationToken);
        }
        finally
        {
            if (rejection is not null)
                await claim.CloseAsync();
        }

        if (rejection is null)
        {
            VerifyTransaction verify = verifier.For(claim.Partition, spec.TopicId);
            (_claim, _leader) = (claim, new LeaderLog(claim.Log!, epoch, spec.Replicas.Length, metrics, verify: verify));
            logger.LogDebug(
                "Leading {Topic}-{Partition} in epoch {Epoch} from offset {Offset}", _topic, _partition, epoch, claim.Log!.LogEndOffset);
        }

        return rejection;
    }

    /// <summary>
    /// Answers the epoch in which a log is only read while nothing can be written, as on a full disk: what is durable is still there.
    /// </summary>
    private int BeginReadOnly(PartitionSpec spec, string reason)
    {
        logger.LogError(
            "{Topic}-{Partition} is only read until its metadata can be written: {Reason}", _topic, _partition, reason);
        _readOnly = new Rejection(ErrorCode.KafkaStorageError, $"Nothing can be written: {reason}");
        this.RegisterGrainTimer(
            _ => TryEndReadOnlyAsync(spec), new GrainTimerCreationOptions(RecoveryInterval, RecoveryInterval) { Interleave = true });
        return state.State.LeaderEpoch;
    }

    private async Task TryEndReadOnlyAsync(PartitionSpec spec)
    {
        try
        {
            await Metadata.RaiseEpochAsync(spec);
        }
        catch (Exception e) when (StorageFailure.Is(e))
        {
            return;
        }
        catch (InconsistentStateException)
        {
            // Another activation raised it.
        }

        DeactivateOnIdle(); // The next activation leads in full.
    }

    private async Task<Rejection?> OpenAsync(PartitionClaim claim, PartitionSpec spec, CancellationToken cancellationToken)
    {
        // Another activation may have raised the epoch, served and closed again before this one made its claim.
        await state.ReadStateAsync();
        if (state.State.LeaderEpoch != claim.LeaderEpoch || state.State.TopicId != claim.TopicId
            || !await claim.OpenAsync(TopicConfig.Resolve(spec.Configs, broker.Config), cancellationToken))
        {
            return Rejection.Superseded;
        }

        // A deletion that came before the opening did not close this log, which would accept records and bring the directory back.
        Guid? topicId = await Topic.ReportLeaderAsync(_partition, broker.BrokerId, claim.LeaderEpoch, claim.TopicId);
        return topicId == claim.TopicId ? null : Rejection.Deleted;
    }

    /// <summary>The leader's log, if this activation serves; otherwise it deactivates.</summary>
    private bool TryGetLeader([NotNullWhen(true)] out LeaderLog? leader)
    {
        if (_claim is { IsSuperseded: true })
        {
            _leader = null;
            _rejection = Rejection.Superseded;
        }

        leader = _leader;
        if (leader is null)
            DeactivateOnIdle();

        Debug.Assert(leader is null || leader.LeaderEpoch == _claim!.LeaderEpoch, "A leader has the log of its own epoch.");
        return leader is not null;
    }

    /// <summary>
    /// Refuses a call for another topic of this name: the caller does not know yet that the topic was deleted and created again, or this
    /// activation does not.
    /// </summary>
    private async ValueTask<Rejection?> CheckTopicAsync(Guid topicId)
    {
        if (topicId == Guid.Empty || _claim is not { } claim || claim.TopicId == topicId)
            return null;

        if ((await Topic.DescribePartitionAsync(_partition))?.TopicId != claim.TopicId)
            DeactivateOnIdle();

        return Rejection.OtherTopic;
    }

    /// <inheritdoc/>
    protected override async Task<T> ReadAsync<TRequest, T>(
        TRequest request, Guid topicId, Func<LeaderLog, TRequest, CancellationToken, Task<T>> read, Func<ErrorCode, T> reject)
    {
        if (!TryGetLeader(out LeaderLog? leader))
            return reject(_rejection.Error);

        if (await CheckTopicAsync(topicId) is { } rejection)
            return reject(rejection.Error);

        PartitionClaim claim = _claim!;
        try
        {
            return await read(leader, request, claim.WaitsEnded);
        }
        catch (OperationCanceledException) when (claim.WaitsEnded.IsCancellationRequested)
        {
            return reject(EndOf(claim));
        }
        catch (Exception e) when (e is LogException || StorageFailure.Is(e))
        {
            if (_leader != leader || claim.IsSuperseded)
                return reject(EndOf(claim));

            logger.LogError("The log of {Topic}-{Partition} cannot be read: {Reason}", _topic, _partition, e.GetBaseException().Message);
            return reject(ErrorCode.KafkaStorageError);
        }
        finally
        {
            DeactivateOnFailure(leader, ErrorCode.None);
        }
    }

    private static ErrorCode EndOf(PartitionClaim claim) =>
        claim.IsTopicGone ? ErrorCode.UnknownTopicOrPartition : ErrorCode.NotLeaderOrFollower;

    /// <summary>A log that failed is closed, and recovered by the next activation; a fenced leader leads no more.</summary>
    private void DeactivateOnFailure(LeaderLog leader, ErrorCode error)
    {
        if (leader.Log.Failure is not null || error == ErrorCode.FencedLeaderEpoch)
            DeactivateOnIdle();
    }

    private PartitionClaim? Release()
    {
        PartitionClaim? claim = _claim;
        (_claim, _leader) = (null, null);
        return claim;
    }

    /// <summary>A newer activation in this process took the log. Called outside this grain's turns.</summary>
    private void OnSuperseded() =>
        GrainContext.Deactivate(new DeactivationReason(DeactivationReasonCode.ApplicationRequested, "A newer activation leads."));
}
