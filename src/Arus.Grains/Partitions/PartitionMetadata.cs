using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>How an activation changes its partition's metadata: by compare-and-swap. Used in the grain's turns.</summary>
internal sealed class PartitionMetadata(IPersistentState<PartitionLeadership> state, LocalBroker broker)
{
    private const int ClearAttempts = 3;

    /// <summary>Begins a leadership of this broker, and answers its epoch. When that fails, nothing has changed here.</summary>
    /// <exception cref="InconsistentStateException">Another activation was faster.</exception>
    public async Task<int> RaiseEpochAsync(PartitionSpec spec)
    {
        PartitionLeadership before = state.State;
        int epoch = before.LeaderEpoch + 1;
        state.State = new PartitionLeadership
        {
            LeaderEpoch = epoch, Leader = broker.BrokerId, Replicas = spec.Replicas, Isr = spec.Replicas, TopicId = spec.TopicId,
        };
        try
        {
            await state.WriteStateAsync();
            return epoch;
        }
        catch
        {
            state.State = before;
            throw;
        }
    }

    /// <summary>
    /// Whether this broker led last and has the only copy of the records, so that no other broker can lead as long as the epoch stays.
    /// </summary>
    public bool IsOnlyHere(PartitionSpec spec) =>
        !broker.SharesLogs && state.RecordExists && state.State.TopicId == spec.TopicId && state.State.Leader == broker.BrokerId;

    /// <summary>
    /// Clears the metadata even if another activation, which has lost the log by now, raised the epoch in the meantime; but not that of a
    /// topic that was created since, whose epochs would begin again below those in its log.
    /// </summary>
    public async Task ClearAsync(Guid topicId)
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
}
