using System.Net;
using System.Net.Sockets;
using Orleans.Configuration;

namespace Arus.Hosting.Clustering;

/// <summary>Where a silo listens, and the addresses under which others reach it.</summary>
internal static class SiloEndpoints
{
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(2);

    /// <exception cref="StartRefusedException">A host has no address, or the advertised one is no address of a single machine.</exception>
    public static void Configure(EndpointOptions options, BrokerConfig config)
    {
        IPAddress advertised = Resolve(BrokerConfigs.OrleansAdvertisedHost, config.GetString(BrokerConfigs.OrleansAdvertisedHost)!);
        if (advertised.Equals(IPAddress.Any) || advertised.Equals(IPAddress.IPv6Any))
        {
            throw new StartRefusedException(
                $"{BrokerConfigs.OrleansAdvertisedHost}={advertised} is every address; name the one at which other brokers reach this " +
                $"one ({BrokerConfigs.OrleansListenHost} takes {advertised}).");
        }

        IPAddress listening = config.GetString(BrokerConfigs.OrleansListenHost) is { } host
            ? Resolve(BrokerConfigs.OrleansListenHost, host) : advertised;
        options.AdvertisedIPAddress = advertised;
        options.SiloPort = config.GetInt(BrokerConfigs.OrleansSiloPort);
        options.GatewayPort = config.GetInt(BrokerConfigs.OrleansGatewayPort);
        options.SiloListeningEndpoint = new IPEndPoint(listening, options.SiloPort);
        options.GatewayListeningEndpoint = new IPEndPoint(listening, options.GatewayPort);
    }

    /// <summary>Reads an address whose host is an IP address or <c>localhost</c>.</summary>
    /// <exception cref="StartRefusedException">It is neither; the message names <paramref name="key"/>.</exception>
    public static IPEndPoint Parse(string key, string text) =>
        Endpoints.TryParseHostPort(text, out HostPort address)
        && IPAddress.TryParse(address.Host == "localhost" ? "127.0.0.1" : address.Host, out IPAddress? host)
            ? new IPEndPoint(host, address.Port)
            : throw new StartRefusedException($"{key}={text}: the host must be an IP address or localhost.");

    /// <summary>Whether somebody accepts connections there.</summary>
    public static async Task<bool> AnswersAsync(IPEndPoint endpoint, CancellationToken cancellationToken)
    {
        using var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(AnswerTimeout);
        try
        {
            await socket.ConnectAsync(endpoint, limit.Token).ConfigureAwait(false);
            return true;
        }
        catch (Exception e) when (e is SocketException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return false;
        }
    }

    /// <summary>IPv4 where a name has both: it is what Orleans' addresses are on most networks.</summary>
    private static IPAddress Resolve(string key, string host)
    {
        if (IPAddress.TryParse(host.Trim('[', ']'), out IPAddress? literal))
            return literal;

        try
        {
            // A silo is configured once, before anything runs that a blocked thread could hold up.
            IPAddress[] addresses = Dns.GetHostAddresses(host);
            return addresses.FirstOrDefault(address => address.AddressFamily == AddressFamily.InterNetwork) ?? addresses[0];
        }
        catch (SocketException e)
        {
            throw new StartRefusedException($"{key}={host}: the host has no address ({e.Message}).", e);
        }
    }
}
