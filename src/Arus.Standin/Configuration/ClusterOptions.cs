using System.Net;

namespace Orleans.Configuration;

public class ClusterOptions
{
    public const string DefaultClusterId = "default";
    public const string DefaultServiceId = "default";

    /// <summary>Silos and clients of different cluster ids refuse one another.</summary>
    public string ClusterId { get; set; } = DefaultClusterId;

    public string ServiceId { get; set; } = DefaultServiceId;
}

public class SiloOptions
{
    /// <summary>Empty for one that is made up at start.</summary>
    public string SiloName { get; set; } = "";
}

public class EndpointOptions
{
    public const int DEFAULT_SILO_PORT = 11111;
    public const int DEFAULT_GATEWAY_PORT = 30000;

    /// <summary>Where other silos find this one. Null for the loopback address.</summary>
    public IPAddress? AdvertisedIPAddress { get; set; }

    public int SiloPort { get; set; } = DEFAULT_SILO_PORT;

    /// <summary>0 for no gateway.</summary>
    public int GatewayPort { get; set; } = DEFAULT_GATEWAY_PORT;

    /// <summary>Null to listen on the advertised address.</summary>
    public IPEndPoint? SiloListeningEndpoint { get; set; }

    /// <summary>Null to listen on the advertised address.</summary>
    public IPEndPoint? GatewayListeningEndpoint { get; set; }
}

public class DevelopmentClusterMembershipOptions
{
    /// <summary>The silo that new ones ask to be let in; null for this one.</summary>
    public IPEndPoint? PrimarySiloEndpoint { get; set; }
}

public class ClusterMembershipOptions
{
    /// <summary>False to declare no silo dead.</summary>
    public bool LivenessEnabled { get; set; } = true;

    /// <summary>How long a probe may take, and the time between probes.</summary>
    public TimeSpan ProbeTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Missed probes after which a silo is suspected.</summary>
    public int NumMissedProbesLimit { get; set; } = 3;

    /// <summary>How many silos each silo watches.</summary>
    public int NumProbedSilos { get; set; } = 10;

    /// <summary>Suspicions that make a death; fewer suffice when there are fewer silos.</summary>
    public int NumVotesForDeathDeclaration { get; set; } = 2;

    /// <summary>How long a suspicion counts.</summary>
    public TimeSpan DeathVoteExpirationTimeout { get; set; } = TimeSpan.FromSeconds(180);

    /// <summary>How often Orleans reads its membership table. There is none here: views are compared with each probe.</summary>
    public TimeSpan TableRefreshTimeout { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary>How long a silo tries to join.</summary>
    public TimeSpan MaxJoinAttemptTime { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>How long the dead are remembered.</summary>
    public TimeSpan DefunctSiloExpiration { get; set; } = TimeSpan.FromDays(7);
}
