using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Orleans.Runtime;

/// <summary>A silo: its endpoint and the generation that tells one run of it from the next. Written <c>ip:port@generation</c>.</summary>
[Immutable, SuppressReferenceTracking]
public sealed class SiloAddress : IEquatable<SiloAddress>, IComparable<SiloAddress>
{
    private static readonly DateTime Epoch = new(2022, 1, 1, 0, 0, 0, DateTimeKind.Utc);
    private static int s_lastGeneration;
    private readonly int _hash;

    private SiloAddress(IPEndPoint endpoint, int generation)
    {
        Endpoint = endpoint;
        Generation = generation;
        _hash = (int)StableHash.Of(System.Text.Encoding.UTF8.GetBytes(ToParsableString()));
    }

    [Id(0)]
    public IPEndPoint Endpoint { get; }

    [Id(1)]
    public int Generation { get; }

    /// <summary>Clients have negative generations.</summary>
    public bool IsClient => Generation < 0;

    public static SiloAddress Zero { get; } = New(new IPEndPoint(IPAddress.Any, 0), 0);

    public static SiloAddress New(IPEndPoint ep, int gen) => new(new IPEndPoint(ep.Address, ep.Port), gen);

    public static SiloAddress New(IPAddress address, int port, int generation) => new(new IPEndPoint(address, port), generation);

    /// <summary>Seconds since 2022, and never the same twice in a process.</summary>
    public static int AllocateNewGeneration()
    {
        int now = (int)(DateTime.UtcNow - Epoch).TotalSeconds;
        while (true)
        {
            int last = Volatile.Read(ref s_lastGeneration);
            int next = Math.Max(now, last + 1);
            if (Interlocked.CompareExchange(ref s_lastGeneration, next, last) == last)
            {
                return next;
            }
        }
    }

    public static SiloAddress FromParsableString(string addr) =>
        TryParse(addr, out SiloAddress? address) ? address! : throw new FormatException($"\"{addr}\" is not a silo address, which looks like 127.0.0.1:11111@1.");

    public static SiloAddress Parse(string value) => FromParsableString(value);

    public static bool TryParse(string? value, out SiloAddress? result)
    {
        int at = value?.LastIndexOf('@') ?? -1;
        result = at > 0
            && IPEndPoint.TryParse(value.AsSpan(0, at), out IPEndPoint? endpoint)
            && int.TryParse(value.AsSpan(at + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int generation)
            ? new SiloAddress(endpoint, generation)
            : null;
        return result is not null;
    }

    public bool Equals(SiloAddress? other) =>
        ReferenceEquals(this, other)
        || (other is not null && _hash == other._hash && Generation == other.Generation && Endpoint.Equals(other.Endpoint));

    public override bool Equals(object? obj) => Equals(obj as SiloAddress);

    public override int GetHashCode() => _hash;

    /// <summary>The same in every process.</summary>
    public int GetConsistentHashCode() => _hash;

    /// <summary>Whether <paramref name="other"/> is a later run at the same endpoint.</summary>
    public bool IsPredecessorOf(SiloAddress other) => Endpoint.Equals(other.Endpoint) && Generation < other.Generation;

    /// <summary>Whether <paramref name="other"/> is an earlier run at the same endpoint.</summary>
    public bool IsSuccessorOf(SiloAddress other) => other.IsPredecessorOf(this);

    public int CompareTo(SiloAddress? other)
    {
        if (other is null)
        {
            return 1;
        }

        int order = Generation.CompareTo(other.Generation);
        order = order != 0 ? order : Endpoint.Port.CompareTo(other.Endpoint.Port);
        return order != 0 ? order : string.CompareOrdinal(Endpoint.Address.ToString(), other.Endpoint.Address.ToString());
    }

    public string ToParsableString() => Endpoint.Address.AddressFamily == AddressFamily.InterNetworkV6
        ? $"[{Endpoint.Address}]:{Endpoint.Port}@{Generation}"
        : $"{Endpoint.Address}:{Endpoint.Port}@{Generation}";

    public override string ToString() => ToParsableString();
}
