using System.CommandLine;
using System.CommandLine.Parsing;
using System.Net;
using System.Net.Sockets;

namespace Arus.Cli;

/// <summary>The options that every command has.</summary>
internal static class GlobalOptions
{
    private const int DefaultGatewayPort = 30_000;

    public static Option<IPEndPoint[]> Gateway { get; } = new("--gateway", "-g")
    {
        Description = "host:port of one or more silos' native endpoints, separated by commas (ARUS_CLI_GATEWAY)",
        Recursive = true,
        DefaultValueFactory = result => ParseGateways(result, Environment.GetEnvironmentVariable("ARUS_CLI_GATEWAY") ?? "127.0.0.1"),
        CustomParser = result => ParseGateways(result, result.Tokens is [{ Value: var text }, ..] ? text : ""),
    };

    public static Option<string> ClusterId { get; } = Text("--cluster-id", "ARUS_CLI_CLUSTER_ID", "the cluster's orleans.cluster.id");

    public static Option<string> ServiceId { get; } = Text("--service-id", "ARUS_CLI_SERVICE_ID", "the cluster's orleans.service.id");

    public static Option<int> ConnectTimeout { get; } = new("--connect-timeout")
    {
        Description = "seconds to try to reach a silo",
        Recursive = true,
        DefaultValueFactory = _ => 10,
    };

    public static Option<bool> Json { get; } = new("--json") { Description = "write results as JSON", Recursive = true };

    public static IEnumerable<Option> All => [Gateway, ClusterId, ServiceId, ConnectTimeout, Json];

    public static ConnectionSettings Settings(ParseResult result) => new(
        result.GetValue(Gateway)!, result.GetValue(ClusterId)!, result.GetValue(ServiceId)!,
        TimeSpan.FromSeconds(result.GetValue(ConnectTimeout)));

    /// <summary>The same option, which refuses a number below a minimum.</summary>
    public static Option<T> AtLeast<T>(this Option<T> option, int min)
    {
        option.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var text }, ..] && int.TryParse(text, out int given) && given < min)
                result.AddError($"{option.Name} is {given}; it must be {min} or more.");
        });
        return option;
    }

    /// <summary>Reads <c>host[:port],…</c>; what it cannot read is an error in the result.</summary>
    private static IPEndPoint[] ParseGateways(ArgumentResult result, string text)
    {
        var endpoints = new List<IPEndPoint>();
        foreach (string part in ConfigText.SplitList(text))
        {
            int colon = part.LastIndexOf(':');
            int port = DefaultGatewayPort;
            if (colon >= 0 && !int.TryParse(part.AsSpan(colon + 1), out port) || port is < 1 or > 65_535)
                result.AddError($"'{part}' is not host:port with a port from 1 to 65535.");
            else if (Resolve(colon >= 0 ? part[..colon] : part) is { } address)
                endpoints.Add(new IPEndPoint(address, port));
            else
                result.AddError($"The host of '{part}' has no address.");
        }

        if (endpoints.Count == 0 && !result.Errors.Any())
            result.AddError("No gateway is named; it takes host:port.");

        return [.. endpoints];
    }

    private static IPAddress? Resolve(string host)
    {
        if (IPAddress.TryParse(host.Trim('[', ']'), out IPAddress? literal))
            return literal;

        try
        {
            // A command line is parsed once, before anything runs that a blocked thread could hold up.
            IPAddress[] addresses = Dns.GetHostAddresses(host);
            return addresses.FirstOrDefault(a => a.AddressFamily == AddressFamily.InterNetwork) ?? addresses.FirstOrDefault();
        }
        catch (SocketException)
        {
            return null;
        }
    }

    private static Option<string> Text(string name, string variable, string description) => new(name)
    {
        Description = $"{description} ({variable})",
        Recursive = true,
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable(variable) ?? "arus",
    };
}
