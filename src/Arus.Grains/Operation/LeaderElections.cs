using Arus.Coordination.Replication;
using Arus.Protocol;
using PartitionResult = Arus.Protocol.ElectLeadersResponse.ElectedPartition;

namespace Arus.Grains;

/// <summary>
/// Leaders that an operator wishes for. Brokers are asked, and what became of it is seen by the states of the partitions. Safe for use by
/// any thread.
/// </summary>
/// <param name="image">Null, as <paramref name="calls"/>, on a single node, where every partition has the leader that it can have.</param>
internal sealed class LeaderElections(
    PartitionLookup partitions, IGrainFactory grains, TimeProvider time, PartitionImage? image = null, ReplicaCalls? calls = null)
{
    private const sbyte Preferred = 0;
    private const sbyte Unclean = 1;

    /// <summary>Below every response timeout. What is not done by then may be done later.</summary>
    private static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(20);

    /// <summary>A target that had not caught up is tried again.</summary>
    private static readonly TimeSpan RepeatInterval = TimeSpan.FromSeconds(1);

    /// <exception cref="ArusException"><see cref="ErrorCode.InvalidRequest"/>: there is no such type of election.</exception>
    public async Task<ElectLeadersResponse> ElectAsync(ElectLeadersRequest request)
    {
        if (request.ElectionType is not (Preferred or Unclean))
        {
            throw new ArusException(
                ErrorCode.InvalidRequest, $"There is no election of type {request.ElectionType}: 0 is preferred, 1 is unclean.");
        }

        HashSet<int> live = await LiveAsync();
        List<Election> all = await ElectionsAsync(request, live);
        var limit = TimeSpan.FromMilliseconds(Math.Clamp(request.TimeoutMs, 0, MaxWait.TotalMilliseconds));
        await CarryOutAsync([.. all.Where(election => election.IsUnderWay)], limit);
        return new ElectLeadersResponse
        {
            ReplicaElectionResults =
            [
                // Of all partitions, as in Kafka, only those are told that needed an election.
                .. all.Where(election => request.TopicPartitions is not null || election.Error != ErrorCode.ElectionNotNeeded)
                    .GroupBy(election => election.Topic)
                    .Select(topic => new ElectLeadersResponse.ReplicaElectionResult
                    {
                        Topic = topic.Key, PartitionResult = [.. topic.Select(election => election.Result())],
                    }),
            ],
        };
    }

    private async Task<List<Election>> ElectionsAsync(ElectLeadersRequest request, HashSet<int> live)
    {
        bool isUnclean = request.ElectionType == Unclean;
        if (request.TopicPartitions is not { } requested)
        {
            return
            [
                .. (await partitions.AllAsync())
                    .Select(state => new Election(state.Topic, state.Id.Partition, state, live, isUnclean)),
            ];
        }

        var elections = new List<Election>();
        foreach (ElectLeadersRequest.ElectedTopic topic in requested)
        {
            IReadOnlyList<PartitionState> states = await partitions.OfTopicAsync(topic.Topic);
            elections.AddRange(topic.Partitions.Distinct().Select(partition => new Election(
                topic.Topic, partition, partition >= 0 && partition < states.Count ? states[partition] : null, live, isUnclean)));
        }

        return elections;
    }

    private async Task CarryOutAsync(List<Election> elections, TimeSpan limit)
    {
        if (image is null || calls is null)
            return;

        long start = time.GetTimestamp();
        TimeSpan nextAsk = TimeSpan.Zero;
        HashSet<int> live = [];
        while (true)
        {
            TimeSpan elapsed = time.GetElapsedTime(start);
            bool isToAsk = elapsed >= nextAsk;
            if (isToAsk)
                live = await LiveAsync();

            elections.RemoveAll(election => election.LookAgain(image, live));
            if (elections.Count == 0)
                return;

            if (elapsed >= limit)
            {
                elections.ForEach(election => election.TimeOut());
                return;
            }

            if (isToAsk)
            {
                foreach (IGrouping<int, (int Broker, LeaderElection Wish)> broker in
                    elections.SelectMany(election => election.Wishes(live)).GroupBy(wish => wish.Broker))
                {
                    calls.Elect(broker.Key, [.. broker.Select(wish => wish.Wish)]);
                }

                nextAsk = elapsed + RepeatInterval;
            }

            await Task.Delay(PollInterval, time);
        }
    }

    private async Task<HashSet<int>> LiveAsync() =>
        [.. (await grains.GetGrain<IClusterGrain>(0).DescribeAsync()).Brokers.Select(broker => broker.BrokerId)];

    /// <summary>One partition of a request.</summary>
    private sealed class Election
    {
        private readonly bool _isUnclean;
        private PartitionState? _state;
        private string? _message;

        public Election(string topic, int partition, PartitionState? state, HashSet<int> live, bool isUnclean)
        {
            (Topic, Partition, _state, _isUnclean) = (topic, partition, state, isUnclean);
            if (state is null)
                Refuse(ErrorCode.UnknownTopicOrPartition, $"There is no partition {partition} of a topic '{topic}'.");
            else if (IsDone(live))
                Refuse(ErrorCode.ElectionNotNeeded, $"Broker {state.Leader} leads the partition.");
            else
                Check(live);
        }

        public string Topic { get; }

        public int Partition { get; }

        public ErrorCode Error { get; private set; }

        public bool IsUnderWay => Error == ErrorCode.None;

        public PartitionResult Result() => new() { PartitionId = Partition, ErrorCode = Error, ErrorMessage = _message };

        /// <returns>True when nothing more is to be done.</returns>
        public bool LookAgain(PartitionImage image, HashSet<int> live)
        {
            _state = image.Find(_state!.Id);
            if (_state is null or { IsDeleted: true })
                Refuse(ErrorCode.UnknownTopicOrPartition, "The topic was deleted.");
            else if (IsDone(live))
                return true;
            else
                Check(live);

            return !IsUnderWay;
        }

        public IEnumerable<(int Broker, LeaderElection Wish)> Wishes(HashSet<int> live)
        {
            PartitionState state = _state!;
            LeaderElection Wish(int target) => new(state.Id.TopicId, state.Id.Partition, target);
            return _isUnclean ? state.Replicas.Where(live.Contains).Select(replica => (replica, Wish(-1)))
                : live.Contains(state.Leader) ? [(state.Leader, Wish(state.Replicas[0]))]
                : [];
        }

        public void TimeOut()
        {
            if (_isUnclean)
                Refuse(ErrorCode.EligibleLeadersNotAvailable, "No live replica could be elected: none has a log of the partition.");
            else
                Refuse(ErrorCode.RequestTimedOut, $"Broker {_state!.Replicas[0]} has not taken over yet: it may lack the newest records.");
        }

        private bool IsDone(HashSet<int> live) =>
            live.Contains(_state!.Leader) && (_isUnclean || _state.Leader == _state.Replicas[0]);

        private void Check(HashSet<int> live)
        {
            PartitionState state = _state!;
            int preferred = state.Replicas[0];
            if (_isUnclean && !state.Replicas.Any(live.Contains))
                Refuse(ErrorCode.EligibleLeadersNotAvailable, $"None of the replicas is alive: {string.Join(", ", state.Replicas)}.");
            else if (!_isUnclean && !live.Contains(preferred))
                Refuse(ErrorCode.PreferredLeaderNotAvailable, $"Broker {preferred} is not alive.");
            else if (!_isUnclean && !state.IsShared && !state.Isr.Any(member => member.BrokerId == preferred))
                Refuse(ErrorCode.PreferredLeaderNotAvailable, $"Broker {preferred} is not in sync.");
        }

        private void Refuse(ErrorCode error, string message) => (Error, _message) = (error, message);
    }
}
