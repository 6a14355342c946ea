using System.Collections.Frozen;
using System.Globalization;

namespace Arus;

/// <summary>A configuration value and where it came from.</summary>
/// <param name="Origin">For people: <c>default</c>, <c>topic</c>, a file's name, an environment variable or a flag.</param>
public readonly record struct ConfigValue(string? Value, ConfigSource Source, string Origin);

/// <summary>A broker's configuration: the values set at start, then the defaults of <see cref="BrokerConfigs"/>. Immutable.</summary>
public sealed class BrokerConfig
{
    /// <summary>49 days, the longest period of <see cref="PeriodicTimer"/>.</summary>
    private const long LongestTimerMs = uint.MaxValue - 1;

    private readonly FrozenDictionary<string, ConfigValue> _set;

    /// <param name="set">Keys and values that <see cref="BrokerConfigs.Validate"/> found valid.</param>
    public BrokerConfig(IReadOnlyDictionary<string, ConfigValue> set)
    {
        Dictionary<string, ConfigValue> parsed = set.ToDictionary(
            pair => pair.Key,
            pair => pair.Value with { Value = pair.Value.Value is { } text ? BrokerConfigs.Find(pair.Key)?.Normalize(text) : null });
        foreach ((string name, string alias) in BrokerConfigs.Aliases)
        {
            if (parsed.TryGetValue(alias, out ConfigValue value) || parsed.TryGetValue(name, out value))
                parsed[name] = parsed[alias] = value;
        }

        _set = parsed.ToFrozenDictionary(StringComparer.Ordinal);
    }

    /// <summary>Everything at its default.</summary>
    public static BrokerConfig Default { get; } = new(new Dictionary<string, ConfigValue>());

    /// <summary>A configuration with these keys set; for tests and embedding.</summary>
    public static BrokerConfig Of(params (string Key, string Value)[] values) =>
        new(values.ToDictionary(pair => pair.Key, pair => new ConfigValue(pair.Value, ConfigSource.StaticBroker, "code")));

    /// <summary>The value of a key as it was set, or its default.</summary>
    public ConfigValue this[string name] =>
        _set.TryGetValue(name, out ConfigValue value) ? value
            : BrokerConfigs.Find(name) is { } definition ? new ConfigValue(definition.Default, ConfigSource.Default, "default")
            : throw new ArgumentException($"{name} is not a broker configuration key.", nameof(name));

    /// <summary>The effective value where several keys set one thing: <c>log.retention.ms</c>, then minutes, then hours.</summary>
    public ConfigValue Effective(string name)
    {
        ConfigValue own = this[name];
        return own.Source != ConfigSource.Default ? own : name switch
        {
            BrokerConfigs.LogRetentionMs when IsSet(BrokerConfigs.LogRetentionMinutes) => Scaled(BrokerConfigs.LogRetentionMinutes, 60_000),
            BrokerConfigs.LogRetentionMs => Scaled(BrokerConfigs.LogRetentionHours, 3_600_000),
            BrokerConfigs.LogRollMs => Scaled(BrokerConfigs.LogRollHours, 3_600_000),
            BrokerConfigs.LogRollJitterMs => Scaled(BrokerConfigs.LogRollJitterHours, 3_600_000),
            BrokerConfigs.LogFlushIntervalMs => this[BrokerConfigs.LogFlushSchedulerIntervalMs],
            _ => own,
        };
    }

    public bool IsSet(string name) => _set.ContainsKey(name);

    /// <summary>Null when the key has neither a value nor a default.</summary>
    public string? GetString(string name) => this[name].Value;

    public bool GetBoolean(string name) => bool.Parse(Required(name));

    public int GetInt(string name) => int.Parse(Required(name), NumberStyles.Integer, CultureInfo.InvariantCulture);

    public long GetLong(string name) => long.Parse(Required(name), NumberStyles.Integer, CultureInfo.InvariantCulture);

    /// <summary>A key in milliseconds, capped at the longest time span: the greatest number is how "never" is configured.</summary>
    public TimeSpan GetMilliseconds(string name) =>
        TimeSpan.FromMilliseconds(Math.Min(GetLong(name), TimeSpan.MaxValue.Ticks / TimeSpan.TicksPerMillisecond));

    /// <summary>A key in milliseconds as the period of a timer, capped at the longest that timers take.</summary>
    public TimeSpan GetTimerPeriod(string name) => TimeSpan.FromMilliseconds(Math.Min(GetLong(name), LongestTimerMs));

    private string Required(string name) =>
        this[name].Value ?? throw new InvalidOperationException($"{name} is not set and has no default.");

    private ConfigValue Scaled(string name, long factor)
    {
        ConfigValue value = this[name];
        long number = long.Parse(value.Value!, NumberStyles.Integer, CultureInfo.InvariantCulture);
        return value with { Value = (number < 0 ? -1 : number * factor).ToString(CultureInfo.InvariantCulture) };
    }
}
