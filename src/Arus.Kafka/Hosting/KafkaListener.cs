using System.Net;
using System.Net.Sockets;
using Arus.Grains;

namespace Arus.Kafka;

/// <summary>An address on which Kafka clients are served, and the address that they get to know.</summary>
/// <param name="bind">Where to listen.</param>
/// <param name="advertised">The address that clients get; null for <paramref name="bind"/> itself.</param>
public sealed class KafkaListener(Listener bind, HostPort? advertised)
{
    private int _boundPort = bind.Port;

    /// <summary>Where it listens, as configured: the port may be 0.</summary>
    public Listener Bind { get; } = bind;

    /// <summary>The name by which brokers find each other's address for the same clients.</summary>
    public string Name => Bind.Name;

    /// <summary>The address that clients get. With port 0 it is right once the listener is bound.</summary>
    public BrokerEndpoint Advertised
    {
        get
        {
            string host = advertised is { Host.Length: > 0 } named ? named.Host : IsAny(Bind.Host) ? Dns.GetHostName() : Bind.Host;
            return new BrokerEndpoint(Name, host, advertised is { Port: > 0 } address ? address.Port : Volatile.Read(ref _boundPort));
        }
    }

    /// <summary>The listeners of a broker's configuration.</summary>
    /// <exception cref="ArgumentException">
    /// A listener that is advertised but does not exist, or asks for a protocol that is not served.
    /// </exception>
    public static KafkaListener[] FromConfig(BrokerConfig config)
    {
        Listener[] binds = Parse(config, BrokerConfigs.Listeners);
        Listener[] advertised =
            config.GetString(BrokerConfigs.AdvertisedListeners) is null ? [] : Parse(config, BrokerConfigs.AdvertisedListeners);
        string? singleAddress = config.GetString(BrokerConfigs.AdvertisedSingleAddress);
        HostPort? single = singleAddress is not null && Endpoints.TryParseHostPort(singleAddress, out HostPort address) ? address : null;
        foreach (Listener listener in advertised)
        {
            if (!binds.Any(bind => SameName(bind, listener)))
            {
                throw new ArgumentException(
                    $"{BrokerConfigs.AdvertisedListeners} names {listener}, but {BrokerConfigs.Listeners} has no {listener.Name}.");
            }

            if (IsAny(listener.Host))
            {
                throw new ArgumentException(
                    $"{BrokerConfigs.AdvertisedListeners} names {listener}: a client cannot connect to that host; name this one.");
            }
        }

        return [.. binds.Select(bind => Create(bind, advertised, single))];
    }

    internal void SetBoundPort(int port) => Volatile.Write(ref _boundPort, port);

    /// <summary>The end point to bind, or null for every address of the machine.</summary>
    internal IPEndPoint? ResolveBind()
    {
        if (IsAny(Bind.Host))
            return null;

        if (IPAddress.TryParse(Bind.Host, out IPAddress? address))
            return new IPEndPoint(address, Bind.Port);

        IPAddress[] found = Dns.GetHostAddresses(Bind.Host);
        return found.Length == 0
            ? throw new ArgumentException($"{BrokerConfigs.Listeners}: the host of {Bind} has no address.")
            : new IPEndPoint(found.FirstOrDefault(a => a.AddressFamily == AddressFamily.InterNetwork) ?? found[0], Bind.Port);
    }

    private static KafkaListener Create(Listener bind, Listener[] advertised, HostPort? single)
    {
        if (bind.Name.ToUpperInvariant() is "SSL" or "SASL_SSL" or "SASL_PLAINTEXT")
            throw new ArgumentException($"{BrokerConfigs.Listeners}: {bind} asks for {bind.Name}, which is not supported; use PLAINTEXT.");

        Listener? own = advertised.Where(listener => SameName(bind, listener)).Select(listener => (Listener?)listener).FirstOrDefault();
        return new KafkaListener(bind, single ?? (own is { } listener ? new HostPort(listener.Host, listener.Port) : null));
    }

    private static Listener[] Parse(BrokerConfig config, string key) =>
        Endpoints.TryParse(config.GetString(key) ?? "", out Listener[]? listeners, out string? fault)
            ? listeners
            : throw new ArgumentException($"{key}: {fault}.");

    private static bool SameName(Listener a, Listener b) => a.Name.Equals(b.Name, StringComparison.OrdinalIgnoreCase);

    private static bool IsAny(string host) => host is "" or "0.0.0.0" or "::" or "*";
}
