using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace Arus;

/// <param name="Port">0 for any free port.</param>
public readonly record struct HostPort(string Host, int Port)
{
    public override string ToString() => Host.Contains(':') ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}

/// <param name="Name">Upper case by custom: <c>PLAINTEXT</c>.</param>
/// <param name="Host">Empty for every address of the machine.</param>
public readonly record struct Listener(string Name, string Host, int Port)
{
    public override string ToString() => $"{Name}://{new HostPort(Host, Port)}";
}

/// <summary>The syntax of addresses in configuration.</summary>
public static class Endpoints
{
    /// <summary>Reads <c>NAME://host:port,…</c>; no two listeners may share a name.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out Listener[]? listeners, [NotNullWhen(false)] out string? fault)
    {
        listeners = null;
        var found = new List<Listener>();
        foreach (string item in ConfigText.SplitList(text))
        {
            int scheme = item.IndexOf("://", StringComparison.Ordinal);
            if (scheme <= 0 || !TryParseHostPort(item[(scheme + 3)..], out HostPort address))
            {
                fault = $"'{item}' does not have the form NAME://host:port";
                return false;
            }

            found.Add(new Listener(item[..scheme], address.Host, address.Port));
        }

        bool areDistinct = found.DistinctBy(listener => listener.Name, StringComparer.OrdinalIgnoreCase).Count() == found.Count;
        fault = found.Count == 0 ? "no listener is named" : areDistinct ? null : "two listeners share a name";
        if (fault is not null)
            return false;

        listeners = [.. found];
        return true;
    }

    /// <summary>Reads <c>host:port</c>, <c>[ipv6]:port</c> or <c>:port</c>.</summary>
    public static bool TryParseHostPort(string text, out HostPort address)
    {
        address = default;
        int colon = text.LastIndexOf(':');
        if (colon < 0 || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port))
            return false;

        string host = text[..colon];
        if (host.StartsWith('[') && host.EndsWith(']'))
            host = host[1..^1];
        else if (host.Contains(':'))
            return false;

        if (host.AsSpan().ContainsAny(" \t/"))
            return false;

        address = new HostPort(host, port);
        return true;
    }
}

/// <summary>The syntax of <c>max.connections.per.ip.overrides</c>.</summary>
public static class ConnectionOverrides
{
    /// <summary>Reads <c>address:number,…</c>; names of hosts are not for it. Empty text is an empty list.</summary>
    /// <exception cref="FormatException">An entry is wrong; the message says which.</exception>
    public static Dictionary<IPAddress, int> Parse(string text)
    {
        var limits = new Dictionary<IPAddress, int>();
        foreach (string item in ConfigText.SplitList(text))
        {
            int colon = item.LastIndexOf(':');
            if (colon <= 0 || !IPAddress.TryParse(item.AsSpan(0, colon), out IPAddress? address)
                || !int.TryParse(item.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                || !limits.TryAdd(address, number))
            {
                throw new FormatException($"'{item}' does not have the form address:number, or its address is there twice");
            }
        }

        return limits;
    }
}

/// <summary>The syntax of <c>arus.flush</c>.</summary>
public static class FlushPolicyText
{
    private const string IntervalPrefix = "interval:";

    public static bool IsValid(string text) => text is "always" or "os" || TryGetInterval(text, out _);

    /// <summary>The interval of <c>interval:&lt;milliseconds&gt;</c>: 1 ms to one hour.</summary>
    public static bool TryGetInterval(string text, out TimeSpan interval)
    {
        interval = default;
        if (!text.StartsWith(IntervalPrefix, StringComparison.Ordinal)
            || !int.TryParse(text.AsSpan(IntervalPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int ms)
            || ms is < 1 or > 3_600_000)
        {
            return false;
        }

        interval = TimeSpan.FromMilliseconds(ms);
        return true;
    }
}
