using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>
/// Notices brokers that were declared dead without having said that they stop, and tells when others lead in their place. One caller at
/// a time.
/// </summary>
internal sealed class LostBrokers(PartitionImage image, TopicImage topics, TimeProvider time)
{
    /// <summary>How long elections may take until it is told all the same: a partition without another copy gets no other leader.</summary>
    private static readonly TimeSpan ElectionLimit = TimeSpan.FromSeconds(3);

    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(100);

    private readonly HashSet<SiloAddress> _active = [];

    /// <summary>Compares the members with those of the call before.</summary>
    public void Observe(IEnumerable<ClusterMember> members, CancellationToken stopping)
    {
        foreach (ClusterMember member in members)
        {
            if (member.Status == SiloStatus.Active)
            {
                _active.Add(member.SiloAddress);
            }
            else if (_active.Remove(member.SiloAddress) && member.Status == SiloStatus.Dead
                && BrokerNames.TryParse(member.Name, out int brokerId))
            {
                _ = TellAsync(brokerId, stopping);
            }
        }
    }

    private async Task TellAsync(int brokerId, CancellationToken stopping)
    {
        long start = time.GetTimestamp();
        while (!stopping.IsCancellationRequested
            && time.GetElapsedTime(start) < ElectionLimit && image.All.Any(state => !state.IsDeleted && state.Leader == brokerId))
        {
            await Task.Delay(PollInterval, time, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        if (!stopping.IsCancellationRequested)
            topics.TellReplaced();
    }
}
