using System.Globalization;
using System.Net;

namespace Arus.Chaos;

/// <summary>
/// A network namespace for each broker, all on one bridge with this process and the database. A link can be taken down, which is silence,
/// and what one address sends to another can be made to vanish without an error.
/// </summary>
internal sealed class Network : IAsyncDisposable
{
    /// <summary>Clients of this process send from here.</summary>
    public static readonly IPAddress Host = IPAddress.Parse("10.77.0.1");

    /// <summary>An address of its own, so that a broker can lose the database and keep its clients.</summary>
    public static readonly IPAddress Database = IPAddress.Parse("10.77.0.2");

    public const string Range = "10.77.0.0/24";

    private const string Bridge = "arus-chaos";
    private const string NamespacePrefix = "arus-chaos-";
    private const int PrefixLength = 24;
    private const int FirstBrokerAddress = 10;

    /// <summary>An address of no device: the bridge floods what is sent to it, and everyone drops it.</summary>
    private const string Nowhere = "02:00:00:00:77:ff";

    private readonly int _brokers;
    private readonly HashSet<(int From, IPAddress To)> _cuts = [];
    private readonly HashSet<int> _down = [];

    private Network(int brokers) => _brokers = brokers;

    public static IPAddress Address(int broker) =>
        IPAddress.Parse(string.Create(CultureInfo.InvariantCulture, $"10.77.0.{FirstBrokerAddress + broker}"));

    public static string Namespace(int broker) => $"{NamespacePrefix}{broker}";

    /// <exception cref="ChaosException">This user or this system cannot have network namespaces.</exception>
    public static async Task<Network> CreateAsync(int brokers)
    {
        await RemoveAsync();
        var network = new Network(brokers);
        try
        {
            await IpAsync("link", "add", Bridge, "type", "bridge");
            await IpAsync("addr", "add", $"{Host}/{PrefixLength}", "dev", Bridge);
            await IpAsync("addr", "add", $"{Database}/{PrefixLength}", "dev", Bridge);
            await IpAsync("link", "set", Bridge, "up");
            for (int broker = 1; broker <= brokers; broker++)
                await network.AddAsync(broker);

            return network;
        }
        catch (Exception e) when (e is ChaosException or System.ComponentModel.Win32Exception)
        {
            await RemoveAsync();
            throw new ChaosException(
                $"No network namespaces here, which silences and partitions need (run as root, with iproute2): {e.Message}", e);
        }
    }

    /// <summary>Takes the broker's link away, or gives it back; neither end is told.</summary>
    public async Task SetLinkAsync(int broker, bool isUp)
    {
        await IpAsync("link", "set", Link(broker), isUp ? "up" : "down");
        if (isUp)
            _down.Remove(broker);
        else
            _down.Add(broker);
    }

    /// <summary>What <paramref name="from"/> sends to an address vanishes from now on.</summary>
    public async Task CutAsync(int from, IPAddress to)
    {
        await IpAsync("-n", Namespace(from), "neigh", "replace", $"{to}", "lladdr", Nowhere, "nud", "permanent", "dev", "eth0");
        _cuts.Add((from, to));
    }

    /// <summary>Ends every cut and silence.</summary>
    public async Task HealAsync()
    {
        foreach (int broker in _down.ToArray())
            await SetLinkAsync(broker, isUp: true);

        foreach ((int from, IPAddress to) in _cuts.ToArray())
        {
            await IpAsync("-n", Namespace(from), "neigh", "del", $"{to}", "dev", "eth0");
            _cuts.Remove((from, to));
        }
    }

    public async ValueTask DisposeAsync() => await RemoveAsync();

    public override string ToString() => $"{_brokers} namespaces on {Range}";

    private static string Link(int broker) => $"{NamespacePrefix}v{broker}";

    private async Task AddAsync(int broker)
    {
        string name = Namespace(broker);
        await IpAsync("netns", "add", name);
        await IpAsync("link", "add", Link(broker), "type", "veth", "peer", "name", "eth0", "netns", name);
        await IpAsync("link", "set", Link(broker), "master", Bridge, "up");
        await IpAsync("-n", name, "addr", "add", $"{Address(broker)}/{PrefixLength}", "dev", "eth0");
        await IpAsync("-n", name, "link", "set", "eth0", "up");
        await IpAsync("-n", name, "link", "set", "lo", "up");
    }

    /// <summary>Also what a run left behind that was killed: its brokers are the only processes in these namespaces.</summary>
    private static async Task RemoveAsync()
    {
        (_, string list) = await Shell.TryAsync("ip", "netns", "list");
        foreach (string name in list.Split('\n').Select(line => line.Split(' ')[0]).Where(IsOurs))
        {
            (_, string pids) = await Shell.TryAsync("ip", "netns", "pids", name);
            foreach (string pid in pids.Split('\n', StringSplitOptions.RemoveEmptyEntries))
                await Shell.TryAsync("kill", "-KILL", pid);

            // The kernel removes what is in a namespace later; a link's end here takes the other one with it at once.
            await Shell.TryAsync("ip", "link", "del", $"{NamespacePrefix}v{name[NamespacePrefix.Length..]}");
            await Shell.TryAsync("ip", "netns", "del", name);
        }

        await Shell.TryAsync("ip", "link", "del", Bridge);
    }

    private static bool IsOurs(string name) => name.StartsWith(NamespacePrefix, StringComparison.Ordinal);

    private static Task<string> IpAsync(params string[] arguments) => Shell.RunAsync("ip", arguments);
}
