using System.Collections.Concurrent;
using Arus.Coordination.Replication;
using Arus.Protocol;
using Arus.Storage;
using Microsoft.Extensions.Logging;

namespace Arus.Grains;

/// <summary>
/// This broker's replicas: carries out what the replication machine asks for, and is where the data path finds who leads. Safe for use by
/// any thread.
/// </summary>
internal sealed partial class ReplicationHost : ILocalReplicas
{
    private readonly MachinePump _pump;
    private readonly StateSwaps _swaps;
    private readonly ReplicaCalls _calls;
    private readonly ReplicaWork _work;
    private readonly PartitionImage _image;
    private readonly ReplicaConfigs _configs;
    private readonly ILogger _logger;
    private readonly ConcurrentDictionary<PartitionId, Replica> _replicas = new();
    private readonly ConcurrentDictionary<long, ReceivedCall> _received = new();
    private readonly Func<PartitionId, IPartitionLog?> _findLog;
    private readonly Action<PartitionId> _giveWay;
    private long _lastCall;
    private volatile bool _isServing;

    public ReplicationHost(
        MachinePump pump, StateSwaps swaps, ReplicaCalls calls, ReplicaWork work, PartitionImage image, ReplicaConfigs configs,
        ReplicationMetrics metrics, ILogger<ReplicationHost> logger)
    {
        (_pump, _swaps, _calls, _work, _image, _configs, _logger) = (pump, swaps, calls, work, image, configs, logger);
        _findLog = id => _replicas.TryGetValue(id, out Replica? replica) ? replica.Log?.Log : null;
        _giveWay = GiveWay;
        pump.Effects = CarryOut;
        work.Gone = replica =>
        {
            if (replica.IsClosed)
                _replicas.TryRemove(new KeyValuePair<PartitionId, Replica>(replica.Id, replica));
        };
        image.Changed += states =>
        {
            if (_isServing)
                pump.Post((machine, now) => machine.Learn(states, now));
        };
        metrics.Observe(() => _replicas.Values, image);
    }

    public IEnumerable<IPartitionLog> OpenLogs => _replicas.Values.Select(replica => replica.Log?.Log).OfType<IPartitionLog>();

    public ICollection<Replica> Replicas => _replicas.Values;

    public IReadOnlyList<LocalReplica> List() =>
    [
        .. OpenLogs.Select(log => new LocalReplica(log.Partition, log.SizeBytes, Math.Max(0, log.HighWatermark - log.LogEndOffset))),
    ];

    /// <summary>The open logs of replicas; those in the database are nobody's own.</summary>
    public LogDescription[] DescribeLogs() =>
    [
        .. from replica in _replicas.Values
           let log = replica.Log?.Log
           where log is not null && !replica.IsShared
           select new LogDescription(
               replica.Id.TopicId, replica.Id.Partition, log.LogId, log.FencedEpoch, log.LatestEpoch, log.LogEndOffset),
    ];

    /// <summary>The replica of a partition here; null if there is none.</summary>
    public Replica? Find(PartitionId id) => _replicas.GetValueOrDefault(id);

    /// <summary>Starts the machine with all states that the image has.</summary>
    public void Start() => _pump.Post((machine, now) =>
    {
        // From here on changes are queued behind this input, and one that the image has already is learnt twice, which does no harm.
        _isServing = true;
        machine.Start([.. _image.All], now);
    });

    /// <param name="readAtMs">As of <see cref="ReplicationMachine.MembershipChanged"/>, by the clock of the machine.</param>
    public void MembershipRead(IReadOnlyDictionary<int, long> live, long readAtMs) =>
        _pump.Post((machine, now) => machine.MembershipChanged(live, readAtMs, now));

    /// <summary>Asks the machine to give away what this broker leads.</summary>
    public void Drain() => _pump.Post(static (machine, now) => machine.Drain(now));

    /// <summary>Gives back what this broker leads in the place of a preferred leader that is in sync again.</summary>
    public void MoveToPreferredLeaders()
    {
        foreach (Leadership led in _replicas.Values.Select(replica => replica.Leadership).OfType<Leadership>())
        {
            PartitionState state = led.View.State;
            int preferred = state.Replicas[0];
            if (preferred != state.Leader && (state.IsShared || state.Isr.Any(replica => replica.BrokerId == preferred)))
                _pump.Post((machine, now) => machine.MoveLeadership(state.Id, preferred, now));
        }
    }

    /// <summary>What an operator wishes; a replica that is not here is left out.</summary>
    public void Elect(LeaderElection[] elections)
    {
        foreach (LeaderElection election in elections)
        {
            var id = new PartitionId(election.TopicId, election.Partition);
            _pump.Post((machine, now) =>
            {
                if (election.Target < 0)
                    machine.AllowUncleanElection(id, now);
                else
                    machine.MoveLeadership(id, election.Target, now);
            });
        }
    }

    public bool LeadsAnything => _replicas.Values.Any(replica => replica.Leadership is not null);

    /// <summary>Ends all replication here, and closes the logs.</summary>
    public async Task CloseAsync()
    {
        Halt();
        await Task.WhenAll(_replicas.Values.Select(replica => replica.CloseAsync())).ConfigureAwait(false);
    }

    /// <summary>Ends all replication here, as a death of the process does.</summary>
    public void Halt()
    {
        _isServing = false;
        _pump.Stop();
        EndWaits();
    }

    public void EndWaits()
    {
        foreach (Replica replica in _replicas.Values)
            replica.Leadership?.End();
    }

    public Task<ReplicaSessionResponse> ReceiveSessionsAsync(int from, ReplicaSessionRequest request)
    {
        var received = new ReceivedCall { Sessions = NewSource<ReplicaSessionResponse>() };
        long call = Register(received);
        _pump.Post((machine, now) => machine.ReceiveSessions(call, from, request, now));
        return received.Sessions.Task;
    }

    public Task<ReplicaPushResponse> ReceivePushAsync(int from, ReplicaPushRequest request, PushedRecords records)
    {
        if (request.Partitions.Sum(entry => (long)Math.Max(0, entry.SegmentCount)) != records.Records.Count
            || Array.Exists(request.Partitions, entry => entry.SegmentCount < 0))
        {
            throw new ArusException(ErrorCode.InvalidRequest, $"A push of broker {from} does not have the segments that it counts.");
        }

        var received = new ReceivedCall { Push = NewSource<ReplicaPushResponse>(), PushRequest = request, Records = records };
        long call = Register(received);
        _pump.Post((machine, now) => machine.ReceivePush(call, from, request, now));
        return received.Push.Task;
    }

    /// <summary>A topic's configuration changed.</summary>
    public void Reconfigure(Guid topicId, Dictionary<string, string> configs)
    {
        _configs.Learn(topicId, configs);
        foreach (Replica replica in _replicas.Values.Where(replica => replica.Id.TopicId == topicId))
        {
            replica.Configs = configs;
            _work.Configure(replica);
        }
    }

    /// <summary>The broker's configuration changed.</summary>
    public void Reconfigure()
    {
        long catchUp = _work.CatchUpRate;
        _pump.Post((machine, _) => machine.CatchUp.BytesPerSecond = catchUp);
        foreach (Replica replica in _replicas.Values)
            _work.Configure(replica);
    }

    /// <summary>Records that a follower lacks are damaged here: another replica that has them is to lead, and this one is mended.</summary>
    private void GiveWay(PartitionId id)
    {
        if (Find(id) is { View: { Role: ReplicaRole.Leader, InSync: > 1 } } replica)
            replica.Log?.Log.FailIfDamaged();
    }

    private long Register(ReceivedCall received)
    {
        if (!_isServing)
            throw new ArusException(ErrorCode.BrokerNotAvailable, "The broker is starting or stopping.");

        long call = Interlocked.Increment(ref _lastCall);
        _received[call] = received;
        return call;
    }

    private void CarryOut(ReplicationEffect effect)
    {
        switch (effect)
        {
            case ReplicationEffect.OpenLog open:
                ReplicaOf(open.State).Enqueue(new ReplicaTask(open));
                break;
            case ReplicationEffect.CloseLog close when _image.Find(close.Id) is { } state:
                ReplicaOf(state).Enqueue(new ReplicaTask(close));
                break;
            case ReplicationEffect.Prepare prepare:
                Find(prepare.Id)?.Enqueue(new ReplicaTask(prepare));
                break;
            case ReplicationEffect.AppendPushed append:
                Find(append.Id)?.Enqueue(PushOf(append));
                break;
            case ReplicationEffect.AdvanceHighWatermark advance:
                Find(advance.Id)?.Enqueue(new ReplicaTask(advance));
                break;
            case ReplicationEffect.Publish publish:
                ReplicaOf(publish.View.State).Enqueue(new ReplicaTask(publish));
                break;
            case ReplicationEffect.Swap swap:
                _swaps.Enqueue(swap);
                break;
            case ReplicationEffect.SendSessions send:
                _ = Task.Run(() => _calls.SendSessionsAsync(send));
                break;
            case ReplicationEffect.SendPush send:
                _ = Task.Run(() => _calls.SendPushAsync(send, _findLog, _giveWay));
                break;
            case ReplicationEffect.AnswerSessions answer when _received.TryRemove(answer.Call, out ReceivedCall? received):
                received.Sessions!.TrySetResult(answer.Response);
                break;
            case ReplicationEffect.AnswerPush answer when _received.TryRemove(answer.Call, out ReceivedCall? received):
                received.Push!.TrySetResult(answer.Response);
                received.Release();
                break;
            case ReplicationEffect.Announce announce:
                _calls.Announce(announce.States);
                break;
            case ReplicationEffect.Report report:
                LogReport(_image.Find(report.Id)?.Topic, report.Id.Partition, report.Message);
                break;
        }
    }

    private ReplicaTask PushOf(ReplicationEffect.AppendPushed append)
    {
        ReceivedCall call = _received[append.Call];
        ReplicaPushRequest.PushedPartition[] entries = call.PushRequest!.Partitions;
        int first = 0;
        for (int i = 0; i < append.Index; i++)
            first += entries[i].SegmentCount;

        ReadOnlyMemory<byte>[] segments = call.Records.Records.Segments.AsSpan(first, entries[append.Index].SegmentCount).ToArray();
        call.Hold();
        return new ReplicaTask(append, segments, entries[append.Index].LeaderEpoch, Appended: call.Release);
    }

    private Replica ReplicaOf(PartitionState state) =>
        _replicas.GetOrAdd(state.Id, static (_, args) => new Replica(args.state, args._work), (state, _work));

    private static TaskCompletionSource<T> NewSource<T>() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Topic}-{Partition}: {Message}")]
    private partial void LogReport(string? topic, int partition, string message);

    /// <summary>What another broker sent and is not answered yet.</summary>
    private sealed class ReceivedCall
    {
        /// <summary>The appends of a push that are not done, and the call itself until it is answered: later no append begins.</summary>
        private int _holders = 1;

        public TaskCompletionSource<ReplicaSessionResponse>? Sessions { get; init; }

        public TaskCompletionSource<ReplicaPushResponse>? Push { get; init; }

        public ReplicaPushRequest? PushRequest { get; init; }

        public PushedRecords Records { get; init; }

        /// <summary>The records are read until this is undone by <see cref="Release"/>.</summary>
        public void Hold() => Interlocked.Increment(ref _holders);

        /// <summary>
        /// One that reads the records is done with them. An append that failed does not say so: it may go on, and the memory is not used
        /// again.
        /// </summary>
        public void Release()
        {
            if (Interlocked.Decrement(ref _holders) == 0)
                Records.Return();
        }
    }
}
