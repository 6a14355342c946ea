using Arus.Storage;
using Microsoft.Extensions.Logging;
using Orleans;
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
        catch (Exception e) when (e is LogException or IOException or TimeoutException)
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

    public async Task<AppendResponse> AppendAsync(AppendRequest request)
    {
        if (_leader is not { } leader)
        {
            Go();
            return LeaderLog.Refused(request, _refusal.Error, _refusal.Message);
        }

        AppendResponse response = await leader.AppendAsync(request);
        GoIfFailed(leader, response.Results.Length > 0 ? response.Results[0].Error : ErrorCode.None);
        return response;
    }

    public async Task<FetchResponse> FetchAsync(FetchRequest request)
    {
        if (_leader is not { } leader)
        {
            Go();
            return LeaderLog.Refused(_refusal.Error);
        }

        FetchResponse response = await leader.FetchAsync(request, _open?.Ending ?? CancellationToken.None);
        GoIfFailed(leader, ErrorCode.None);
        return response;
    }

    public async Task<ListOffsetResponse> ListOffsetAsync(ListOffsetRequest request)
    {
        if (_leader is { } leader)
        {
            return await leader.ListOffsetAsync(request);
        }

        Go();
        return new ListOffsetResponse(_refusal.Error, -1, -1, -1);
    }

    public Task<EpochEndResponse> GetEpochEndAsync(int currentLeaderEpoch, int leaderEpoch)
    {
        if (_leader is { } leader)
        {
            return Task.FromResult(leader.GetEpochEnd(currentLeaderEpoch, leaderEpoch));
        }

        Go();
        return Task.FromResult(new EpochEndResponse(_refusal.Error, -1, -1));
    }

    public async Task<DeleteRecordsResponse> DeleteRecordsAsync(long beforeOffset)
    {
        if (_leader is { } leader)
        {
            return await leader.DeleteRecordsAsync(beforeOffset);
        }

        Go();
        return new DeleteRecordsResponse(_refusal.Error, -1);
    }

    public Task<PartitionDescription> DescribeAsync()
    {
        if (_leader is { } leader)
        {
            return Task.FromResult(leader.Describe(broker.BrokerId));
        }

        Go();
        return Task.FromResult(new PartitionDescription(_refusal.Error, -1, -1, -1, -1, -1, 0, 0));
    }

    public async Task ReconfigureAsync()
    {
        if (_leader is { } leader && await TopicGrain().DescribePartitionAsync(_partition) is { } topic)
        {
            leader.Log.Reconfigure(TopicConfig.Resolve(topic.Configs, broker.Config));
        }
    }

    public async Task DeleteAsync()
    {
        Go();
        await state.ReadStateAsync(); // Another activation may have written what this one does not know.
        int leader = state.State.Leader;
        bool elsewhere = state.RecordExists && state.State.Leader != broker.BrokerId && !LocalBroker.SharesLogs(broker.Config);
        if (state.RecordExists && !elsewhere)
        {
            // Not this activation's log alone: it may not lead any more, or never have, and the files are here all the same.
            (_open, _leader) = (null, null);
            _refusal = (ErrorCode.UnknownTopicOrPartition, "The topic was deleted.");
            await partitions.DeleteAsync(new TopicPartition(_topic, _partition), state.State.TopicId);
        }

        await ClearStateAsync();
        if (elsewhere)
        {
            throw new ArusException(
                ErrorCode.LeaderNotAvailable, $"its broker {leader} is not alive and keeps the files; delete them there by hand");
        }
    }

    /// <summary>Clears the metadata although another activation, which has lost the log by now, raised the epoch meanwhile.</summary>
    private async Task ClearStateAsync()
    {
        for (int attempt = 1; state.RecordExists; attempt++)
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
        _open = await partitions.OpenAsync(
            new TopicPartition(_topic, _partition), spec.TopicId, TopicConfig.Resolve(spec.Configs, broker.Config), OnSuperseded, cancellationToken);
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
