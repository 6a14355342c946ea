using System.Collections.Immutable;
using Arus.Coordination.Replication;
using Arus.Protocol;
using ElectedPartition = Arus.Protocol.ElectLeadersResponse.ElectedPartition;

namespace Arus.Grains;

/// <summary>
/// Finds leaders by what the replicas' logs say, where the database has lost that: the log that goes furthest, by the epoch of its last
/// record and then by its end, has everything that was acknowledged by any leader, if all replicas are asked. Safe for use by any thread.
/// </summary>
/// <param name="image">Null, as <paramref name="calls"/> and <paramref name="store"/>, on a single node.</param>
internal sealed class MetadataRestore(
    BrokerMembership membership, PartitionImage? image = null, ReplicaCalls? calls = null, IPartitionStateStore? store = null)
{
    private const int MaxInCommit = 2_000;

    /// <exception cref="ArusException"><see cref="ErrorCode.InvalidRequest"/>: this is a single node.</exception>
    public async Task<ElectLeadersResponse> RunAsync(bool isForced)
    {
        if (image is null || calls is null || store is null)
            throw new ArusException(ErrorCode.InvalidRequest, "This is a single node, which keeps its metadata beside its records.");

        Dictionary<PartitionId, List<(int Broker, LogDescription Log)>> logs = await AskAsync(calls);
        var outcomes = new List<(string Topic, ElectedPartition Result)>();
        var proposals = new List<PartitionState>();
        foreach (PartitionState state in image.All.Where(state => !state.IsDeleted && !state.IsShared)
            .OrderBy(state => state.Topic, StringComparer.Ordinal).ThenBy(state => state.Id.Partition))
        {
            List<(int Broker, LogDescription Log)> found = logs.GetValueOrDefault(state.Id) ?? [];
            if (!IsLost(state, found))
                continue;

            int[] away = [.. state.Replicas.Where(broker => !found.Any(one => one.Broker == broker))];
            if (found.Count == 0 || (away.Length > 0 && !isForced))
                outcomes.Add((state.Topic, Refuse(state, away, found.Count > 0)));
            else
                proposals.Add(Propose(state, found, isUnclean: away.Length > 0));
        }

        foreach (PartitionState[] some in proposals.Chunk(MaxInCommit))
            outcomes.AddRange(await SwapAsync(image, calls, store, some));

        return new ElectLeadersResponse
        {
            ReplicaElectionResults =
            [
                .. outcomes.GroupBy(one => one.Topic).Select(topic => new ElectLeadersResponse.ReplicaElectionResult
                {
                    Topic = topic.Key, PartitionResult = [.. topic.Select(one => one.Result)],
                }),
            ],
        };
    }

    /// <summary>
    /// Nobody is known to be in sync though there was a leader; or a log has followed a leader after the last that is known. A leader
    /// fences logs only after the database has named it.
    /// </summary>
    internal static bool IsLost(PartitionState state, IEnumerable<(int Broker, LogDescription Log)> logs) =>
        (state.LeaderEpoch >= 0 && state.Isr.IsEmpty && state.Elr.IsEmpty) || logs.Any(one => one.Log.FencedEpoch > state.LeaderEpoch);

    /// <summary>The leader whose log goes furthest, in an epoch after all that any log has followed.</summary>
    /// <param name="isUnclean">Somebody was not asked who may have more.</param>
    internal static PartitionState Propose(
        PartitionState state, IReadOnlyCollection<(int Broker, LogDescription Log)> logs, bool isUnclean)
    {
        (int leader, LogDescription log) = logs.OrderByDescending(one => one.Log.LatestEpoch).ThenByDescending(one => one.Log.LogEndOffset)
            .ThenBy(one => state.Replicas.Contains(one.Broker) ? state.Replicas.IndexOf(one.Broker) : int.MaxValue).First();
        ImmutableArray<int> replicas = state.Replicas.Contains(leader) ? state.Replicas : state.Replicas.Add(leader);
        return state with
        {
            LeaderEpoch = Math.Max(state.LeaderEpoch, logs.Max(one => one.Log.FencedEpoch)) + 1,
            Leader = leader,
            Replicas = replicas,
            Isr = [new ReplicaId(leader, log.LogId)],
            Elr = [],
            Target = [],
            IsUnclean = state.IsUnclean || isUnclean,
        };
    }

    /// <summary>
    /// The open logs of all live brokers, but for those that never followed a leader: one of an emptied disk does not have what was there.
    /// </summary>
    private async Task<Dictionary<PartitionId, List<(int Broker, LogDescription Log)>>> AskAsync(ReplicaCalls services)
    {
        IEnumerable<(int Broker, LogDescription[]? Logs)> answers = await Task.WhenAll(
            membership.Alive.Select(async broker => (broker, await services.DescribeLogsAsync(broker))));
        return answers.SelectMany(answer => (answer.Logs ?? []).Select(log => (answer.Broker, Log: log)))
            .Where(one => one.Log.FencedEpoch >= 0)
            .GroupBy(one => new PartitionId(one.Log.TopicId, one.Log.Partition))
            .ToDictionary(group => group.Key, group => group.ToList());
    }

    private static ElectedPartition Refuse(PartitionState state, int[] away, bool mayBeForced)
    {
        string brokers = $"{(away.Length == 1 ? "broker" : "brokers")} {string.Join(", ", away)}";
        return new ElectedPartition
        {
            PartitionId = state.Id.Partition,
            ErrorCode = ErrorCode.ReplicaNotAvailable,
            ErrorMessage = $"The log of {brokers} is not open or is new, and may have had records that the others lack: start what is away"
                + (mayBeForced ? ", or force it." : "."),
        };
    }

    private static async Task<IEnumerable<(string Topic, ElectedPartition Result)>> SwapAsync(
        PartitionImage image, ReplicaCalls calls, IPartitionStateStore store, PartitionState[] proposals)
    {
        StateSwapResult[] results;
        try
        {
            results = await store.SwapAsync(proposals);
        }
        catch (Exception e) when (StorageFailure.Is(e) || e is OperationCanceledException or TimeoutException)
        {
            string reason = $"It is not known whether it took effect: {e.GetBaseException().Message}";
            return [.. proposals.Select(state => (state.Topic, Outcome(state, ErrorCode.RequestTimedOut, reason)))];
        }

        PartitionState[] present = [.. results.Select(result => result.State).OfType<PartitionState>()];
        image.Update(present);
        calls.Announce(present);
        return
        [
            .. proposals.Select((state, i) => (state.Topic, results[i].Won
                ? Outcome(state, ErrorCode.None, $"led by broker {state.Leader}")
                : Outcome(state, ErrorCode.RequestTimedOut, "The partition's state has changed meanwhile; look again."))),
        ];
    }

    private static ElectedPartition Outcome(PartitionState state, ErrorCode error, string message) =>
        new() { PartitionId = state.Id.Partition, ErrorCode = error, ErrorMessage = message };
}
