namespace Arus.Client;

/// <summary>The brokers that are alive.</summary>
/// <param name="ControllerId">The live broker with the lowest id; -1 when there is none. Any broker serves admin requests.</param>
public sealed record ClusterDescription(string ClusterId, int ControllerId, IReadOnlyList<BrokerDescription> Brokers);

/// <param name="SiloName">The name under which the broker's silo stands in the membership of the Orleans cluster.</param>
/// <param name="Endpoints">Where Kafka clients reach it, a listener each.</param>
/// <param name="Rack">Null unless configured.</param>
public sealed record BrokerDescription(int BrokerId, string SiloName, IReadOnlyList<BrokerEndpoint> Endpoints, string? Rack);

/// <param name="Listener">The listener's name, <c>PLAINTEXT</c> unless configured.</param>
public sealed record BrokerEndpoint(string Listener, string Host, int Port);
