using System.Globalization;

namespace Arus;

/// <summary>The type of a configuration value, with the numbers that DescribeConfigs sends.</summary>
public enum ConfigType : sbyte
{
    Unknown = 0,
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

/// <summary>Where a configuration value came from, with the numbers that DescribeConfigs sends.</summary>
public enum ConfigSource : sbyte
{
    Unknown = 0,
    DynamicTopic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
}

/// <summary>A configuration key: its type, its default, the values it allows, and its meaning.</summary>
/// <param name="Default">The default value; null when the key has none.</param>
/// <param name="Allowed">The allowed values, for people: <c>0 to 100</c>, <c>one of: a, b</c>.</param>
/// <param name="Documentation">What the key does, in a sentence or two.</param>
/// <param name="Check">Answers what is wrong with a value, or null.</param>
public sealed record ConfigDefinition(
    string Name, ConfigType Type, string? Default, string Allowed, string Documentation, Func<string, string?> Check)
{
    /// <summary>For a topic's key: the broker's key that gives its default; null when there is none.</summary>
    public string? BrokerKey { get; private init; }

    /// <summary>Whether only the default is accepted.</summary>
    public bool IsFixed { get; private init; }

    /// <summary>What is wrong with <paramref name="value"/>, with key, value and allowed values; null when it is valid.</summary>
    public string? Validate(string? value)
    {
        string? fault = value is null ? "a value is needed" : Check(value);
        return fault is null ? null : $"{Name}={value}: {fault}; allowed: {Allowed}";
    }

    /// <summary>The same key with its default given by a broker's key.</summary>
    internal ConfigDefinition WithBrokerKey(string brokerKey) => this with { BrokerKey = brokerKey };

    /// <summary>The broker's key that gives the default of this key of a topic.</summary>
    internal ConfigDefinition ToBrokerKey() => new(BrokerKey!, Type, Default, Allowed, $"Default of the topic key {Name}.", Check);

    internal static ConfigDefinition Int(string name, int? value, string documentation, int min = int.MinValue, int max = int.MaxValue) =>
        Number(name, ConfigType.Int, value, documentation, min, max);

    internal static ConfigDefinition Short(string name, short? value, string documentation, short min, short max) =>
        Number(name, ConfigType.Short, value, documentation, min, max);

    internal static ConfigDefinition Long(
        string name, long? value, string documentation, long min = long.MinValue, long max = long.MaxValue) =>
        Number(name, ConfigType.Long, value, documentation, min, max);

    internal static ConfigDefinition Double(string name, double value, string documentation, double min, double max) =>
        new(
            name, ConfigType.Double, value.ToString(CultureInfo.InvariantCulture), FormattableString.Invariant($"{min} to {max}"),
            documentation,
            text => !double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double parsed) ? "not a number"
                : parsed >= min && parsed <= max ? null
                : "out of range");

    internal static ConfigDefinition Boolean(string name, bool value, string documentation) =>
        new(
            name, ConfigType.Boolean, value ? "true" : "false", "true, false", documentation,
            text => bool.TryParse(text.Trim(), out _) ? null : "not a boolean");

    internal static ConfigDefinition OneOf(string name, string value, string documentation, params string[] allowed) =>
        new(
            name, ConfigType.String, value, $"one of: {string.Join(", ", allowed)}", documentation,
            text => allowed.Contains(text, StringComparer.Ordinal) ? null : "not an allowed value");

    internal static ConfigDefinition ListOf(string name, string value, string documentation, params string[] allowed) =>
        new(
            name, ConfigType.List, value, $"a comma-separated list of: {string.Join(", ", allowed)}", documentation,
            text =>
            {
                string[] items = ConfigText.SplitList(text);
                return items.Length == 0 ? "the list is empty"
                    : items.FirstOrDefault(item => !allowed.Contains(item, StringComparer.Ordinal)) is { } wrong
                    ? $"'{wrong}' is not allowed"
                    : null;
            });

    /// <summary>A string; <paramref name="check"/> returns what is wrong with it, or null.</summary>
    internal static ConfigDefinition Text(
        string name, string? value, string allowed, string documentation, Func<string, string?>? check = null) =>
        new(name, ConfigType.String, value, allowed, documentation, check ?? (text => text.Length == 0 ? "the value is empty" : null));

    /// <summary>A Kafka key that is accepted with its default only, because other values would promise what Arus does not do.</summary>
    internal static ConfigDefinition Fixed(string name, ConfigType type, string value, string reason) =>
        new(
            name, type, value, value, $"{reason} Only the default is accepted.",
            text => string.Equals(text.Trim(), value, StringComparison.OrdinalIgnoreCase) ? null : reason.TrimEnd('.')) { IsFixed = true };

    private static ConfigDefinition Number(string name, ConfigType type, long? value, string documentation, long min, long max)
    {
        long typeMin = type switch { ConfigType.Int => int.MinValue, ConfigType.Short => short.MinValue, _ => long.MinValue };
        long typeMax = type switch { ConfigType.Int => int.MaxValue, ConfigType.Short => short.MaxValue, _ => long.MaxValue };
        string allowed = min == typeMin && max == typeMax ? "any whole number"
            : max == typeMax ? FormattableString.Invariant($"{min} or more")
            : FormattableString.Invariant($"{min} to {max}");
        return new(
            name, type, value?.ToString(CultureInfo.InvariantCulture), allowed, documentation,
            text => !long.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out long parsed) ? "not a whole number"
                : parsed >= min && parsed <= max ? null
                : "out of range");
    }
}

/// <summary>The syntax of configuration values.</summary>
public static class ConfigText
{
    /// <summary>The items of a comma-separated list, trimmed, without empty ones.</summary>
    public static string[] SplitList(string text) =>
        text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
}
