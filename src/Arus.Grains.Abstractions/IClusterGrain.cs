using Orleans.Concurrency;

namespace Arus.Grains;

/// <summary>Who the brokers of the cluster are. One grain, key 0. A broker is one silo; its silo name is <c>broker-ID</c>.</summary>
[Alias("arus.IClusterGrain")]
public interface IClusterGrain : IGrainWithIntegerKey
{
    /// <summary>Makes a broker known, or updates what is known of it. A silo calls it at start; repeating it is harmless.</summary>
    /// <exception cref="ArusException"><see cref="ErrorCode.DuplicateBrokerRegistration"/>: a live silo has that id.</exception>
    [Alias("RegisterBroker")]
    Task<ClusterDescription> RegisterBrokerAsync(BrokerRegistration registration);

    /// <summary>
    /// Forgets a broker that is gone for good. One that comes back all the same registers anew. What it kept is another matter.
    /// </summary>
    /// <exception cref="ArusException">
    /// <see cref="ErrorCode.BrokerIdNotRegistered"/>; <see cref="ErrorCode.InvalidRequest"/>: it is alive.
    /// </exception>
    [Alias("UnregisterBroker")]
    Task UnregisterBrokerAsync(int brokerId);

    /// <summary>The cluster id and the registered brokers whose silos are alive now.</summary>
    [Alias("Describe"), AlwaysInterleave]
    Task<ClusterDescription> DescribeAsync();

    /// <summary>
    /// Where native clients reach the silos that are alive now, as <c>address:port</c>: by these a client that was told one of them finds
    /// the others.
    /// </summary>
    [Alias("GetGateways"), AlwaysInterleave]
    Task<string[]> GetGatewaysAsync();
}

/// <param name="BrokerId">1 or higher; some clients take 0 for "none".</param>
/// <param name="SiloName">The name under which the broker's silo stands in the cluster membership.</param>
/// <param name="Endpoints">Where Kafka clients reach it, a listener each.</param>
/// <param name="Rack">Null unless configured: clients switch behaviour on any value.</param>
[GenerateSerializer, Immutable, Alias("arus.BrokerRegistration")]
public sealed record BrokerRegistration(int BrokerId, string SiloName, BrokerEndpoint[] Endpoints, string? Rack);

/// <param name="Listener">The listener's name, <c>PLAINTEXT</c> unless configured.</param>
[GenerateSerializer, Immutable, Alias("arus.BrokerEndpoint")]
public sealed record BrokerEndpoint(string Listener, string Host, int Port);

/// <param name="ControllerId">The live broker with the lowest id; -1 when none is registered. Any broker serves admin requests.</param>
[GenerateSerializer, Immutable, Alias("arus.ClusterDescription")]
public sealed record ClusterDescription(string ClusterId, int ControllerId, BrokerRegistration[] Brokers);
