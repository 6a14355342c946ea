using System.Diagnostics.CodeAnalysis;
using Arus.Storage;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <inheritdoc cref="IPartitionGrain"/>
/// <remarks>
/// An activation either leads or refuses. It leads when it is on its broker, has raised the epoch and has opened the log; otherwise
/// it answers every call with the reason and goes, so that the next call is placed anew.
/// </remarks>
[PartitionPlacement]
internal sealed class PartitionGrain(
    [PersistentState("partition", StorageNames.Metadata)] IPersistentState<PartitionState> state,
    ILocalBroker broker, LocalPartitions partitions, BrokerMetrics metrics, ILogger<PartitionGrain> logger) : Grain, IPartitionGrain
{
    private const int ClearAttempts = 3;
    private static readonly (ErrorCode, string) Superseded = (ErrorCode.NotLeaderOrFollower, "A newer activation of this partition leads.");

    private string _topic = "";
    private int _partition;
    private LocalPartitions.OpenPartition? _open;
    private LeaderLog? _leader;
    private (ErrorCode Error, string Message) _refusal;

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        (_topic, _partition) = PartitionKey.Parse(this.GetPrimaryKeyString());
        try
        {
            await LeadAsync(cancellationToken);
        }
        catch (InconsistentStateException)
        {
            // Another activation raised the epoch at the same time; whichever activates next reads what it wrote.
            _refusal = (ErrorCode.NotLeaderOrFollower, "Another activation of this partition leads.");
        }
        catch (LogException e) when (e.Error == ErrorCode.FencedLeaderEpoch)
        {
            // In a log that brokers share.
            _refusal = (ErrorCode.NotLeaderOrFollower, e.Message);
        }
        catch (Exception e) when (e is LogException or TimeoutException || StorageFailure.Is(e))
        {
            logger.LogError(e, "Partition {Topic}-{Partition} cannot be led: its log or metadata cannot be opened", _topic, _partition);
            _refusal = (ErrorCode.KafkaStorageError, e.Message);
        }
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        _leader = null;
        _refusal = (ErrorCode.NotLeaderOrFollower, "This partition is moving.");
        if (_open is { } open)
        {
            _open = null;
            await open.CloseAsync();
        }
    }

    public async Task<PartitionAppendResult> AppendAsync(PartitionAppend request)
    {
        if (!Leads(out LeaderLog? leader))
        {
            return LeaderLog.Refused(request, _refusal.Error, _refusal.Message);
        }

        PartitionAppendResult response = await leader.AppendAsync(request);
        GoIfFailed(leader, response.Results.Length > 0 ? response.Results[0].Error : ErrorCode.None);
        return response;
    }

    public async Task<PartitionReadResult> FetchAsync(PartitionRead request) => Leads(out LeaderLog? leader)
        ? await ReadAsync(leader, leader.FetchAsync(request, _open?.Ending ?? CancellationToken.None), static error => LeaderLog.Refused(error))
        : LeaderLog.Refused(_refusal.Error);

    public async Task<ListOffsetResponse> ListOffsetAsync(ListOffsetRequest request) => Leads(out LeaderLog? leader)
        ? await ReadAsync(leader, leader.ListOffsetAsync(request), static error => new ListOffsetResponse(error, -1, -1, -1))
        : new ListOffsetResponse(_refusal.Error, -1, -1, -1);

    public Task<EpochEndResponse> GetEpochEndAsync(int currentLeaderEpoch, int leaderEpoch) => Task.FromResult(Leads(out LeaderLog? leader)
        ? leader.GetEpochEnd(currentLeaderEpoch, leaderEpoch)
        : new EpochEndResponse(_refusal.Error, -1, -1));

    public async Task<DeleteRecordsResponse> DeleteRecordsAsync(long beforeOffset) => Leads(out LeaderLog? leader)
        ? await ReadAsync(leader, leader.DeleteRecordsAsync(beforeOffset), static error => new DeleteRecordsResponse(error, -1))
        : new DeleteRecordsResponse(_refusal.Error, -1);

    public Task<PartitionDescription> DescribeAsync() => Task.FromResult(Leads(out LeaderLog? leader)
        ? leader.Describe(broker.BrokerId)
        : new PartitionDescription(_refusal.Error, -1, -1, -1, -1, -1, 0, 0));

    public async Task ReconfigureAsync()
    {
        if (_leader is { } leader && await TopicGrain().DescribePartitionAsync(_partition) is { } topic)
        {
            leader.Log.Reconfigure(TopicConfig.Resolve(topic.Configs, broker.Config));
        }
    }

    public async Task DeleteAsync(Guid topicId)
    {
        Go(); // Whatever it leads: the next activation reads which topic there is.
        await state.ReadStateAsync(); // Another activation may have written what this one does not know.
        if (state.RecordExists && state.State.TopicId != topicId)
        {
            // The call is late: the topic was deleted and created again meanwhile, and these are the new one's records.
            logger.LogInformation(
                "{Topic}-{Partition} is not deleted: it belongs to topic id {Current}, not {Deleted}",
                _topic, _partition, state.State.TopicId, topicId);
            return;
        }

        int leader = state.State.Leader;
        bool elsewhere = state.RecordExists && leader != broker.BrokerId && !LocalBroker.SharesLogs(broker.Config);
        if (!elsewhere)
        {
            // Not this activation's log alone: it may not lead any more, or never have, and the files are here all the same.
            if (_open?.TopicId == topicId)
            {
                (_open, _leader) = (null, null);
                _refusal = (ErrorCode.UnknownTopicOrPartition, "The topic was deleted.");
            }

            await partitions.DeleteAsync(new TopicPartition(_topic, _partition), topicId);
        }

        await ClearStateAsync(topicId);
        if (elsewhere)
        {
            throw new ArusException(
                ErrorCode.LeaderNotAvailable, $"its broker {leader} is not alive and keeps the files; delete them there by hand");
        }
    }

    /// <summary>
    /// Clears the metadata although another activation, which has lost the log by now, raised the epoch meanwhile; but not that of a topic
    /// that was created meanwhile, whose epochs would begin again below those in its log.
    /// </summary>
    private async Task ClearStateAsync(Guid topicId)
    {
        for (int attempt = 1; state.RecordExists && state.State.TopicId == topicId; attempt++)
        {
            try
            {
                await state.ClearStateAsync();
                return;
            }
            catch (InconsistentStateException) when (attempt < ClearAttempts)
            {
                await state.ReadStateAsync();
            }
        }
    }

    private async Task LeadAsync(CancellationToken cancellationToken)
    {
        PartitionSpec? spec = await TopicGrain().DescribePartitionAsync(_partition);
        if (spec is null)
        {
            _refusal = (ErrorCode.UnknownTopicOrPartition, $"There is no partition {_partition} of a topic '{_topic}'.");
            return;
        }

        int[] replicas = spec.Replicas;
        if (replicas[0] != broker.BrokerId && !LocalBroker.SharesLogs(broker.Config))
        {
            _refusal = (ErrorCode.LeaderNotAvailable, $"Broker {replicas[0]}, which has the records of {_topic}-{_partition}, is not alive.");
            return;
        }

        int epoch = state.State.LeaderEpoch + 1;
        state.State = new PartitionState
        {
            LeaderEpoch = epoch, Leader = broker.BrokerId, Replicas = replicas, Isr = replicas, TopicId = spec.TopicId,
        };
        await state.WriteStateAsync();
        TopicConfig config = TopicConfig.Resolve(spec.Configs, broker.Config);
        LocalPartitions.OpenPartition? claim = partitions.TryClaim(new TopicPartition(_topic, _partition), spec.TopicId, epoch, OnSuperseded);
        if (claim is null || !await OpenAsync(claim, config, cancellationToken))
        {
            _refusal = Superseded;
            return;
        }

        _open = claim;
        _leader = new LeaderLog(_open.Log!, epoch, replicas.Length, metrics);
        logger.LogDebug("Leading {Topic}-{Partition} in epoch {Epoch} from offset {Offset}", _topic, _partition, epoch, _open.Log!.LogEndOffset);
        await TopicGrain().ReportLeaderAsync(_partition, broker.BrokerId, epoch);
        if ((await TopicGrain().DescribePartitionAsync(_partition))?.TopicId != spec.TopicId)
        {
            // Deleted after the question above. If the deletion came before the opening, it did not close this log, which would take
            // in records and bring the directory back.
            (_leader, _refusal) = (null, (ErrorCode.UnknownTopicOrPartition, "The topic was deleted."));
            await _open.CloseAsync();
            _open = null;
        }
    }

    /// <summary>Opens the log, unless the partition is another's by now.</summary>
    private async Task<bool> OpenAsync(LocalPartitions.OpenPartition claim, TopicConfig config, CancellationToken cancellationToken)
    {
        bool newest = false;
        try
        {
            // Another activation may have raised the epoch, served and gone again before this one made its claim.
            await state.ReadStateAsync();
            newest = state.State.LeaderEpoch == claim.LeaderEpoch && state.State.TopicId == claim.TopicId;
        }
        finally
        {
            if (!newest)
            {
                await claim.CloseAsync();
            }
        }

        return newest && await claim.OpenAsync(config, cancellationToken);
    }

    /// <summary>Whether this activation may serve; if not, it goes.</summary>
    private bool Leads([NotNullWhen(true)] out LeaderLog? leader)
    {
        if (_open is { IsSuperseded: true })
        {
            _leader = null;
            _refusal = Superseded;
        }

        leader = _leader;
        if (leader is null)
        {
            Go();
        }

        return leader is not null;
    }

    /// <summary>Waits for what the log does, and puts into a code what it throws: it failed, or it is closed because the partition moves.</summary>
    private async Task<T> ReadAsync<T>(LeaderLog leader, Task<T> reading, Func<ErrorCode, T> refused)
    {
        try
        {
            return await reading;
        }
        catch (Exception e) when (e is LogException || StorageFailure.Is(e))
        {
            if (_leader != leader || _open is not { IsSuperseded: false })
            {
                return refused(ErrorCode.NotLeaderOrFollower);
            }

            logger.LogError(e, "The log of {Topic}-{Partition} cannot be read", _topic, _partition);
            return refused(ErrorCode.KafkaStorageError);
        }
        finally
        {
            GoIfFailed(leader, ErrorCode.None);
        }
    }

    /// <summary>A log that failed is closed and recovered by the next activation; a fenced leader is one no more.</summary>
    private void GoIfFailed(LeaderLog leader, ErrorCode error)
    {
        if (leader.Log.Failure is not null || error == ErrorCode.FencedLeaderEpoch)
        {
            Go();
        }
    }

    private void Go() => DeactivateOnIdle();

    /// <summary>A newer activation in this process took the log. Called outside this grain's turns.</summary>
    private void OnSuperseded() =>
        GrainContext.Deactivate(new DeactivationReason(DeactivationReasonCode.ApplicationRequested, "A newer activation leads."));

    private ITopicGrain TopicGrain() => GrainFactory.GetGrain<ITopicGrain>(_topic);
}
