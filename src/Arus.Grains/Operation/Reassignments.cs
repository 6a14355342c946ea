using System.Collections.Immutable;
using Arus.Coordination.Balance;
using Arus.Coordination.Replication;
using Arus.Protocol;
using Reassigned = Arus.Protocol.AlterPartitionReassignmentsResponse.ReassignablePartitionResponse;

namespace Arus.Grains;

/// <summary>
/// Reassignments as an operator asks for them. A state's target is swapped in here; the partition's leader does the rest. Safe for use by
/// any thread.
/// </summary>
/// <param name="store">Null on a single node, where no partition can have other replicas than it has.</param>
internal sealed class Reassignments(
    PartitionLookup partitions, IGrainFactory grains, PartitionImage? image = null, ReplicaCalls? calls = null,
    IPartitionStateStore? store = null)
{
    /// <summary>Leaders change states, too.</summary>
    private const int MaxAttempts = 8;

    private const int MaxInCommit = 2_000;

    public async Task<AlterPartitionReassignmentsResponse> AlterAsync(AlterPartitionReassignmentsRequest request)
    {
        ClusterDescription cluster = await grains.GetGrain<IClusterGrain>(0).DescribeAsync();
        var check = new ReassignmentCheck(
            [.. cluster.Brokers.Select(broker => broker.BrokerId)], request.AllowReplicationFactorChange);
        var changes = new List<Change>();
        var named = new HashSet<(string, int)>();
        foreach (AlterPartitionReassignmentsRequest.ReassignableTopic topic in request.Topics)
        {
            IReadOnlyList<PartitionState> states = await partitions.OfTopicAsync(topic.Name);
            foreach (AlterPartitionReassignmentsRequest.ReassignablePartition partition in topic.Partitions)
            {
                int index = partition.PartitionIndex;
                var change = new Change(topic.Name, index, partition.Replicas);
                changes.Add(change);
                if (!named.Add((topic.Name, index)))
                    change.Refuse(new ArusException(ErrorCode.InvalidRequest, $"{topic.Name}-{index} is named twice."));
                else
                    change.Propose(check, index >= 0 && index < states.Count ? states[index] : null);
            }
        }

        await SwapAsync(check, changes);
        return new AlterPartitionReassignmentsResponse
        {
            AllowReplicationFactorChange = request.AllowReplicationFactorChange,
            ErrorMessage = "",
            Responses =
            [
                .. changes.GroupBy(change => change.Topic).Select(topic => new AlterPartitionReassignmentsResponse.ReassignableTopicResponse
                {
                    Name = topic.Key, Partitions = [.. topic.Select(change => change.Result)],
                }),
            ],
        };
    }

    /// <summary>Begins what was planned.</summary>
    /// <returns>What was refused.</returns>
    public async Task<IReadOnlyList<(TopicPartition Partition, ArusException Refusal)>> BeginAsync(IEnumerable<PlannedReplicas> plan)
    {
        ClusterDescription cluster = await grains.GetGrain<IClusterGrain>(0).DescribeAsync();
        var check = new ReassignmentCheck([.. cluster.Brokers.Select(broker => broker.BrokerId)]);
        var changes = new List<Change>();
        foreach (PlannedReplicas one in plan)
        {
            var change = new Change(one.State.Topic, one.State.Id.Partition, [.. one.Replicas]);
            change.Propose(check, one.State);
            changes.Add(change);
        }

        await SwapAsync(check, changes);
        return
        [
            .. changes.Where(change => change.Result.ErrorCode != ErrorCode.None).Select(change => (
                new TopicPartition(change.Topic, change.Result.PartitionIndex),
                new ArusException(change.Result.ErrorCode, change.Result.ErrorMessage ?? ""))),
        ];
    }

    public async Task<ListPartitionReassignmentsResponse> ListAsync(ListPartitionReassignmentsRequest request)
    {
        IReadOnlyList<PartitionState> all = await partitions.AllAsync();
        IEnumerable<PartitionState> wanted = all.Where(state => !state.Target.IsEmpty && (request.Topics is not { } topics
            || Array.Exists(topics, topic => topic.Name == state.Topic && topic.PartitionIndexes.Contains(state.Id.Partition))));
        return new ListPartitionReassignmentsResponse
        {
            Topics =
            [
                .. wanted.GroupBy(state => state.Topic).Select(topic => new ListPartitionReassignmentsResponse.OngoingTopicReassignment
                {
                    Name = topic.Key, Partitions = [.. topic.Select(Describe)],
                }),
            ],
        };
    }

    private static ListPartitionReassignmentsResponse.OngoingPartitionReassignment Describe(PartitionState state) => new()
    {
        PartitionIndex = state.Id.Partition,
        Replicas = [.. state.Target, .. state.Replicas.Except(state.Target)],
        AddingReplicas = [.. state.Target.Except(state.Replicas)],
        RemovingReplicas = [.. state.Replicas.Except(state.Target)],
    };

    private async Task SwapAsync(ReassignmentCheck check, List<Change> changes)
    {
        for (int attempt = 1; attempt <= MaxAttempts; attempt++)
        {
            Change[] due = [.. changes.Where(change => change.Proposed is not null)];
            if (due.Length == 0 || store is null)
                return;

            foreach (Change[] some in due.Chunk(MaxInCommit))
                await SwapAsync(store, check, some);
        }

        foreach (Change change in changes.Where(change => change.Proposed is not null))
            change.Refuse(new ArusException(ErrorCode.RequestTimedOut, "The partition's state changed all the time; try again."));
    }

    private async Task SwapAsync(IPartitionStateStore states, ReassignmentCheck check, Change[] changes)
    {
        StateSwapResult[] results;
        try
        {
            results = await states.SwapAsync([.. changes.Select(change => change.Proposed!)]);
        }
        catch (Exception e) when (StorageFailure.Is(e) || e is OperationCanceledException or TimeoutException)
        {
            foreach (Change change in changes)
            {
                change.Refuse(new ArusException(
                    ErrorCode.RequestTimedOut, $"It is not known whether the reassignment has begun: {e.GetBaseException().Message}"));
            }

            return;
        }

        for (int i = 0; i < changes.Length; i++)
        {
            if (results[i].Won)
                changes[i].Proposed = null;
            else
                changes[i].Propose(check, results[i].State is { IsDeleted: false } state ? state : null);
        }

        PartitionState[] known = [.. results.Select(result => result.State).OfType<PartitionState>()];
        image!.Update(known);
        calls!.Announce(known);
    }

    /// <summary>One partition of a request.</summary>
    private sealed class Change(string topic, int partition, int[]? wanted)
    {
        public string Topic => topic;

        public Reassigned Result { get; } = new() { PartitionIndex = partition };

        /// <summary>Null when nothing is to be changed any more.</summary>
        public PartitionState? Proposed { get; set; }

        public void Propose(ReassignmentCheck check, PartitionState? state)
        {
            try
            {
                PartitionState known = state ?? throw new ArusException(
                    ErrorCode.UnknownTopicOrPartition, $"There is no partition {partition} of a topic '{topic}'.");
                PartitionState proposed = wanted is null ? ReassignmentCheck.Cancel(known) : check.Reassign(known, [.. wanted]);
                bool isSame = proposed.Target.SequenceEqual(known.Target) && proposed.Replicas.SequenceEqual(known.Replicas);
                Proposed = isSame ? null : proposed;
            }
            catch (ArusException refusal)
            {
                Refuse(refusal);
            }
        }

        public void Refuse(ArusException refusal)
        {
            Proposed = null;
            (Result.ErrorCode, Result.ErrorMessage) = (refusal.Code, refusal.Message);
        }
    }
}
