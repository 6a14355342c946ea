namespace Arus.Protocol;

/// <summary>Who sent a request, for the APIs whose result depends on it.</summary>
/// <param name="ClientId"><c>client.id</c>; "" for none.</param>
/// <param name="ClientHost">Where the client runs, as Kafka writes it: a slash and the address.</param>
/// <param name="ApiVersion">The version in which the client sent the request, which says what the client can do.</param>
public readonly record struct Caller(string ClientId, string ClientHost, short ApiVersion);
