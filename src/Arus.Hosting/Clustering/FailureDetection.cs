using Orleans.Configuration;

namespace Arus.Hosting.Clustering;

/// <summary>
/// How fast a silo that died is declared dead: two probes of at most one and a half seconds each, which with two votes takes two to three
/// seconds and one write to the membership table.
/// </summary>
internal static class FailureDetection
{
    /// <summary>
    /// Of <c>orleans.probe.timeout.ms</c>. Orleans lets the timeout follow the times it measures, between half and four times the setting;
    /// half would take a busy machine for a dead one, and four times would double the outage.
    /// </summary>
    private const double MaxProbeFactor = 1.5;

    /// <summary>
    /// So one silo with a broken link cannot declare others dead by itself. A second vote costs no time: the second missed probe goes by
    /// way of another silo, whose failure casts its vote as well.
    /// </summary>
    private const int Votes = 2;

    /// <summary>
    /// Changes of the table are gossiped; a silo that missed the gossip, or was paused, learns of them by this. Half a minute is usual, in
    /// which a silo that was declared dead would go on to serve.
    /// </summary>
    private static readonly TimeSpan TableRefreshPeriod = TimeSpan.FromSeconds(2);

    public static void Configure(ClusterMembershipOptions options, BrokerConfig config)
    {
        // One second: pauses of garbage collection and of a busy disk are shorter.
        options.ProbeTimeout = config.GetMilliseconds(BrokerConfigs.OrleansProbeTimeoutMs);
        options.MinProbeTimeout = options.ProbeTimeout;
        options.MaxProbeTimeout = options.ProbeTimeout * MaxProbeFactor;

        // Two: one lost packet is no death.
        options.NumMissedProbesLimit = config.GetInt(BrokerConfigs.OrleansMissedProbesLimit);
        options.NumVotesForDeathDeclaration = Votes;
        options.TableRefreshTimeout = TableRefreshPeriod;
    }
}
