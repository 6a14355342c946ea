using System.Collections.Immutable;
using Arus.Coordination.Replication;

namespace Arus.Coordination.Balance;

/// <summary>
/// What has to move so that draining brokers can be stopped without loss: their replicas, as far as other brokers can take them, and their
/// leaderships. Pure: the same input gives the same plan.
/// </summary>
/// <param name="liveBrokers">Those that are alive, draining ones included.</param>
/// <param name="partitions">All that there are.</param>
public sealed class DrainPlan(IReadOnlyCollection<BalanceBroker> liveBrokers, IReadOnlyCollection<PartitionState> partitions)
{
    /// <summary>The replicas that partitions on draining brokers are to get, in the order of topics and partitions.</summary>
    public IEnumerable<PlannedReplicas> Replicas()
    {
        var loads = new BrokerLoads(liveBrokers, partitions);
        foreach (PartitionState partition in InOrder(loads))
        {
            ImmutableArray<int> before = BrokerLoads.Final(partition);
            ImmutableArray<int> replicas = Replaced(loads, before);
            if (!replicas.SequenceEqual(before))
            {
                loads.Move(before, replicas);
                yield return new PlannedReplicas(partition, replicas);
            }
        }
    }

    /// <summary>The leaderships of draining brokers that somebody in sync can take, each with whom.</summary>
    public IEnumerable<PlannedLeader> Leaders()
    {
        var loads = new BrokerLoads(liveBrokers, []);
        foreach (PartitionState partition in partitions.Where(one => loads.IsDraining(one.Leader)))
        {
            foreach (int broker in partition.Replicas.Concat(partition.Target))
            {
                bool isInSync = partition.IsShared || partition.Isr.Any(member => member.BrokerId == broker);
                if (isInSync && loads.IsLive(broker) && !loads.IsDraining(broker))
                {
                    yield return new PlannedLeader(partition, broker);
                    break;
                }
            }
        }
    }

    /// <summary>How many replicas and leaderships a broker still has to give away, those included that are on their way.</summary>
    public int RemainingOf(int broker)
    {
        HashSet<PartitionId> planned = [.. Replicas().Where(plan => !plan.Replicas.Contains(broker)).Select(plan => plan.State.Id)];
        return partitions.Count(partition => partition.Leader == broker)
            + partitions.Count(partition => partition.IsAssigned(broker)
                && (planned.Contains(partition.Id) || !BrokerLoads.Final(partition).Contains(broker)));
    }

    private IEnumerable<PartitionState> InOrder(BrokerLoads loads) => partitions
        .Where(partition => BrokerLoads.Final(partition).Any(loads.IsDraining))
        .OrderBy(partition => partition.Topic, StringComparer.Ordinal).ThenBy(partition => partition.Id.Partition);

    private static ImmutableArray<int> Replaced(BrokerLoads loads, ImmutableArray<int> before)
    {
        List<int> replicas = [.. before.Where(broker => !loads.IsDraining(broker))];
        int[] leaving = [.. before.Where(loads.IsDraining)];
        foreach (int broker in leaving)
        {
            int[] takers = [.. loads.Takers.Select(taker => taker.Id).Where(taker => !replicas.Contains(taker))];

            // Who has nobody to take its place stays, but is no preferred leader if that can be helped.
            replicas.Add(takers.Length == 0 ? broker : takers
                .OrderByDescending(taker => loads.RacksOf(replicas.Append(taker)))
                .ThenBy(loads.ReplicasOf).ThenBy(taker => taker).First());
        }

        if (!loads.IsDraining(before[0]))
            return before.All(replicas.Contains) ? before : [.. replicas];

        // The leaderships of a broker are spread over all others, not given to whoever stands next.
        int preferred = replicas.Where(broker => loads.IsLive(broker) && !loads.IsDraining(broker))
            .OrderBy(loads.LeadersOf).ThenBy(replicas.IndexOf).FirstOrDefault(replicas[0]);
        return [preferred, .. replicas.Where(broker => broker != preferred)];
    }
}
