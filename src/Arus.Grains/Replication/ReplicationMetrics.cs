using System.Diagnostics.Metrics;
using Arus.Coordination.Replication;

namespace Arus.Grains;

/// <summary>What the replication of this broker measures. No label names a topic: their number is not bounded.</summary>
internal sealed class ReplicationMetrics
{
    private static readonly MetricDefinition Leaders = new(
        MetricKind.Gauge, "arus.replication.leaders", "{partition}", "Partitions that this broker leads.",
        "When one broker has far more than the others: leaderships were not moved back after a restart.");

    private static readonly MetricDefinition UnderReplicated = new(
        MetricKind.Gauge, "arus.replication.under.replicated", "{partition}",
        "Partitions that this broker leads and that have fewer replicas in sync than they are to have.",
        "When it stays above 0: a broker is away, or its disk or network cannot keep up.");

    private static readonly MetricDefinition UnderMinIsr = new(
        MetricKind.Gauge, "arus.replication.under.min.isr", "{partition}",
        "Partitions that this broker leads and that have fewer replicas in sync than min.insync.replicas.",
        "When it is above 0: producers with acks=all are refused.");

    private static readonly MetricDefinition Offline = new(
        MetricKind.Gauge, "arus.replication.offline", "{partition}",
        "Partitions of which this broker is a replica, and which no live broker leads.",
        "When it stays above 0: every replica that has all acknowledged records is away.");

    private static readonly MetricDefinition Lag = new(
        MetricKind.Gauge, "arus.replication.lag", "{record}",
        "Records between the high watermark and the log end of the partition, of those that this broker leads, that has most.",
        "When it grows: a replica in sync is slow.");

    private static readonly MetricDefinition Shrinks = new(
        MetricKind.Counter, "arus.replication.isr.shrinks", "{change}", "Changes by which a replica left the in-sync ones.",
        "When it rises while all brokers are alive: replicas lag for longer than replica.lag.time.max.ms.");

    private static readonly MetricDefinition Expands = new(
        MetricKind.Counter, "arus.replication.isr.expands", "{change}", "Changes by which a replica joined the in-sync ones.",
        "When it stays behind the shrinks: replicas do not come back.");

    private static readonly MetricDefinition Elections = new(
        MetricKind.Counter, "arus.replication.elections", "{election}", "Leaderships that this broker began.",
        "When it rises while no broker starts or stops: brokers take each other for dead.");

    private static readonly MetricDefinition UncleanElections = new(
        MetricKind.Counter, "arus.replication.elections.unclean", "{election}",
        "Leaderships that this broker began without having been in sync.",
        "When it is above 0: acknowledged records may have been lost.");

    private static readonly MetricDefinition CatchUp = new(
        MetricKind.Counter, "arus.replication.catch.up", "By", "Bytes that this broker has sent to replicas that are not in sync.",
        "When it rises by arus.replication.catch.up.rate and replicas stay out of sync: the rate is too low for what is produced.");

    private static readonly MetricDefinition FollowerFetched = new(
        MetricKind.Counter, "arus.replication.follower.fetched", "By",
        "Bytes of record batches that consumers in this broker's rack read from replicas which it does not lead.",
        "When it stands still though consumers have a client.rack: replica.selector.class or broker.rack is missing, or no replica is "
            + "there.");

    private readonly Meter _meter;
    private readonly Counter<long> _followerFetched;
    private readonly Counter<long> _catchUp;
    private readonly Counter<long> _shrinks;
    private readonly Counter<long> _expands;
    private readonly Counter<long> _elections;
    private readonly Counter<long> _uncleanElections;
    private readonly LocalBroker _broker;
    private readonly BrokerMembership _membership;

    public ReplicationMetrics(BrokerMetrics metrics, LocalBroker broker, BrokerMembership membership)
    {
        (_meter, _broker, _membership) = (metrics.Meter, broker, membership);
        _catchUp = CatchUp.CreateCounter(_meter);
        _followerFetched = FollowerFetched.CreateCounter(_meter);
        _shrinks = Shrinks.CreateCounter(_meter);
        _expands = Expands.CreateCounter(_meter);
        _elections = Elections.CreateCounter(_meter);
        _uncleanElections = UncleanElections.CreateCounter(_meter);
    }

    public static IReadOnlyList<MetricDefinition> Definitions { get; } =
        [Leaders, UnderReplicated, UnderMinIsr, Offline, Lag, CatchUp, FollowerFetched, Shrinks, Expands, Elections, UncleanElections];

    /// <summary>Counts what the present replicas are.</summary>
    public void Observe(Func<ICollection<Replica>> replicas, PartitionImage image)
    {
        Gauge(Leaders, () => Led(replicas).Count());
        Gauge(UnderReplicated, () => Replicated(replicas).Count(led => led.View.State.Isr.Length < led.View.State.Replicas.Length));
        Gauge(UnderMinIsr, () => Replicated(replicas).Count(
            led => led.InSync < Math.Min(led.Log.Config.MinInSyncReplicas, led.View.State.Replicas.Length)));
        Gauge(Lag, () => Led(replicas).Select(led => led.Log.LogEndOffset - led.Log.HighWatermark).DefaultIfEmpty().Max());
        Gauge(Offline, () => image.All.Count(
            state => !state.IsDeleted && state.Replicas.Contains(_broker.BrokerId) && !_membership.IsAlive(state.Leader)));
    }

    /// <summary>Bytes were read for replicas that are not in sync.</summary>
    public void CaughtUp(int bytes) => _catchUp.Add(bytes);

    /// <summary>A consumer read from a follower.</summary>
    public void ReadFromFollower(long bytes) => _followerFetched.Add(bytes);

    /// <summary>A replica is used differently from now on.</summary>
    public void Published(ReplicaView? before, ReplicaView view)
    {
        if (view.Role != ReplicaRole.Leader)
            return;

        if (before?.Role != ReplicaRole.Leader || before.State.LeaderEpoch != view.State.LeaderEpoch)
        {
            _elections.Add(1);
            _uncleanElections.Add(view.State.IsUnclean ? 1 : 0);
            return;
        }

        int grown = view.State.Isr.Length - before.State.Isr.Length;
        _shrinks.Add(grown < 0 ? 1 : 0);
        _expands.Add(grown > 0 ? 1 : 0);
    }

    private static IEnumerable<Leadership> Led(Func<ICollection<Replica>> replicas) =>
        replicas().Select(replica => replica.Leadership).OfType<Leadership>();

    /// <summary>But for logs in the database, which are one copy.</summary>
    private static IEnumerable<Leadership> Replicated(Func<ICollection<Replica>> replicas) =>
        Led(replicas).Where(led => !led.View.State.IsShared);

    private void Gauge(MetricDefinition definition, Func<long> value) =>
        definition.CreateGauge(_meter, () => [new Measurement<long>(value())]);
}
