using System.Globalization;

namespace Arus;

/// <summary>Which values of its type a key allows.</summary>
/// <param name="Text">For people.</param>
/// <param name="Check">Takes a value as <see cref="ConfigText.Parse"/> gives it; returns what is wrong with it, or null.</param>
internal sealed record ConfigRule(string Text, Func<string, string?> Check)
{
    private const string Addresses = "NAME://host:port, several separated by commas";

    private static readonly Dictionary<string, ConfigRule> Named = new()
    {
        ["text"] = new("a text", text => text.Length == 0 ? "the value is empty" : null),
        ["directory"] = new("a directory", text => text.Length == 0 ? "the value is empty"
            : text.Contains(',') ? "a broker keeps its records in one directory" : null),
        ["listeners"] = new(Addresses, text => Endpoints.TryParse(text, out _, out string? fault) ? null : fault),
        ["protocol-map"] = new("NAME:PLAINTEXT, several separated by commas", CheckProtocolMap),
        ["address"] = new("host:port", CheckAddress),
        ["address-or-none"] = new("host:port, or none", text => text == BrokerConfigs.HttpEndpointNone ? null : CheckAddress(text)),
        ["url"] = new(
            "an http or https URL",
            text => Uri.TryCreate(text, UriKind.Absolute, out Uri? uri) && uri.Scheme is "http" or "https" ? null : "not an http URL"),
        ["flush"] = new(
            "always, interval:<milliseconds> or os", text => FlushPolicyText.IsValid(text) ? null : "not a flush policy"),
        ["overrides"] = new("address:number, several separated by commas", CheckOverrides),
        ["throttled"] = new("*, or partition:broker, several separated by commas", CheckThrottled),
        ["offset-reset"] = new("latest, earliest or by_duration:PnDTnHnMn.nS", CheckOffsetReset),
        ["match"] = new("name=pattern, several separated by commas", CheckMatch),
    };

    /// <param name="allowed">As the third field behind the type of a line of keys.tsv says it.</param>
    public static ConfigRule Read(string allowed, ConfigType type)
    {
        if (allowed == "-")
        {
            return new ConfigRule(
                type switch
                {
                    ConfigType.Boolean => "true, false",
                    ConfigType.Int or ConfigType.Short or ConfigType.Long => "any whole number",
                    ConfigType.Double => "any number",
                    ConfigType.List => "a comma-separated list",
                    _ => "any text",
                },
                _ => null);
        }

        return allowed[0] == '@' ? Named[allowed[1..]]
            : allowed.Contains("..", StringComparison.Ordinal) ? Numbers(allowed, type)
            : Words(allowed.TrimStart('~').Split('|'), allowed[0] == '~', type == ConfigType.List);
    }

    /// <summary>A range, and perhaps one number beside it.</summary>
    private static ConfigRule Numbers(string allowed, ConfigType type)
    {
        string[] parts = allowed.Split(',');
        string[] bounds = parts[0].Split("..");
        string? other = parts.ElementAtOrDefault(1);
        double min = double.Parse(bounds[0], CultureInfo.InvariantCulture);
        double max = bounds[1].Length == 0 ? double.MaxValue : double.Parse(bounds[1], CultureInfo.InvariantCulture);
        bool isOpen = bounds[1].Length == 0 || bounds[1] == $"{ConfigText.Range(type).Max}";
        string text = isOpen ? $"{bounds[0]} or more" : $"{bounds[0]} to {bounds[1]}";
        return new ConfigRule(
            other is null ? text : $"{text}, or {other}",
            value =>
            {
                double number = double.Parse(value, CultureInfo.InvariantCulture);
                return (number < min || number > max) && value != other ? "out of range" : null;
            });
    }

    private static ConfigRule Words(string[] words, bool ignoreCase, bool isList)
    {
        StringComparer comparer = ignoreCase ? StringComparer.OrdinalIgnoreCase : StringComparer.Ordinal;
        string all = string.Join(", ", words);
        return isList
            ? new ConfigRule(
                $"a comma-separated list of: {all}",
                value => ConfigText.SplitList(value).FirstOrDefault(item => !words.Contains(item, comparer)) is { } wrong
                    ? $"'{wrong}' is not allowed" : null)
            : new ConfigRule($"one of: {all}", value => words.Contains(value, comparer) ? null : "not an allowed value");
    }

    private static string? CheckAddress(string text) => Endpoints.TryParseHostPort(text, out _) ? null : "not an address";

    private static string? CheckProtocolMap(string text)
    {
        foreach (string item in ConfigText.SplitList(text))
        {
            int colon = item.IndexOf(':', StringComparison.Ordinal);
            if (colon <= 0)
                return $"'{item}' does not have the form NAME:PROTOCOL";

            if (item[(colon + 1)..] != "PLAINTEXT")
                return $"the security protocol {item[(colon + 1)..]} is not supported";
        }

        return null;
    }

    private static string? CheckOverrides(string text)
    {
        try
        {
            ConnectionOverrides.Parse(text);
            return null;
        }
        catch (FormatException fault)
        {
            return fault.Message;
        }
    }

    private static string? CheckThrottled(string text) =>
        text == "*" || ConfigText.SplitList(text).All(item => item.Split(':') is [var partition, var broker]
            && int.TryParse(partition, NumberStyles.None, CultureInfo.InvariantCulture, out _)
            && int.TryParse(broker, NumberStyles.None, CultureInfo.InvariantCulture, out _))
            ? null : "not a list of replicas";

    private static string? CheckOffsetReset(string text)
    {
        const string ByDuration = "by_duration:";
        if (text is "latest" or "earliest")
            return null;

        bool isDuration = text.StartsWith(ByDuration + "P", StringComparison.OrdinalIgnoreCase);
        try
        {
            return isDuration && System.Xml.XmlConvert.ToTimeSpan(text[ByDuration.Length..]) >= TimeSpan.Zero ? null : "not an offset";
        }
        catch (FormatException)
        {
            return "not a duration";
        }
    }

    /// <summary>Which clients are meant: the names of KIP-714, each with a regular expression.</summary>
    private static string? CheckMatch(string text)
    {
        string[] names =
        [
            "client_id", "client_instance_id", "client_software_name", "client_software_version", "client_source_address",
            "client_source_port",
        ];
        foreach (string item in ConfigText.SplitList(text))
        {
            if (item.Split('=') is not [var name, _] || !names.Contains(name.Trim()))
                return $"'{item}' does not have the form name=pattern with a name of {string.Join(", ", names)}";
        }

        return null;
    }
}
