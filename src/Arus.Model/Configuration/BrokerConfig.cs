using System.Collections.Frozen;
using System.Globalization;

namespace Arus;

/// <summary>A configuration value and where it came from.</summary>
/// <param name="Origin">For people: <c>default</c>, <c>topic</c>, a file's name, an environment variable or a flag.</param>
public readonly record struct ConfigValue(string? Value, ConfigSource Source, string Origin);

/// <summary>A value under the name of a key that can give it.</summary>
public readonly record struct ConfigSynonym(string Name, ConfigValue Value);

/// <summary>
/// A broker's configuration: dynamic values of the broker, dynamic values of all brokers, the values set at start, then the defaults of
/// <see cref="BrokerConfigs"/>. Immutable.
/// </summary>
public sealed class BrokerConfig
{
    /// <summary>49 days, the longest period of <see cref="PeriodicTimer"/>.</summary>
    private const long LongestTimerMs = uint.MaxValue - 1;

    /// <summary>Keys that set one thing in several units. The first that is set counts.</summary>
    private static readonly string[][] Families =
    [
        [BrokerConfigs.LogRetentionMs, BrokerConfigs.LogRetentionMinutes, BrokerConfigs.LogRetentionHours],
        [BrokerConfigs.LogRollMs, BrokerConfigs.LogRollHours],
        [BrokerConfigs.LogRollJitterMs, BrokerConfigs.LogRollJitterHours],
        [BrokerConfigs.LogFlushIntervalMs, BrokerConfigs.LogFlushSchedulerIntervalMs],
    ];

    /// <summary>The first that has a key counts; the last was set at start.</summary>
    private readonly FrozenDictionary<string, ConfigValue>[] _layers;

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
            else
                parsed[alias] = DefaultOf(BrokerConfigs.Find(name)!);
        }

        _layers = [parsed.ToFrozenDictionary(StringComparer.Ordinal)];
    }

    private BrokerConfig(FrozenDictionary<string, ConfigValue>[] layers) => _layers = layers;

    /// <summary>Everything at its default.</summary>
    public static BrokerConfig Default { get; } = new(new Dictionary<string, ConfigValue>());

    /// <summary>A configuration with these keys set; for tests and embedding.</summary>
    public static BrokerConfig Of(params (string Key, string Value)[] values) =>
        new(values.ToDictionary(pair => pair.Key, pair => new ConfigValue(pair.Value, ConfigSource.StaticBroker, "code")));

    /// <summary>What was set at start, under these dynamic values.</summary>
    /// <param name="broker">Of this broker.</param>
    /// <param name="all">Of all brokers.</param>
    public BrokerConfig WithDynamic(IReadOnlyDictionary<string, string> broker, IReadOnlyDictionary<string, string> all)
    {
        return new BrokerConfig([Layer(broker, ConfigSource.DynamicBroker), Layer(all, ConfigSource.DynamicDefaultBroker), _layers[^1]]);

        static FrozenDictionary<string, ConfigValue> Layer(IReadOnlyDictionary<string, string> values, ConfigSource source) =>
            values.ToFrozenDictionary(pair => pair.Key, pair => new ConfigValue(pair.Value, source, "dynamic configuration"));
    }

    /// <summary>The value of a key as it was set, or its default.</summary>
    public ConfigValue this[string name]
    {
        get
        {
            foreach (FrozenDictionary<string, ConfigValue> layer in _layers)
            {
                if (layer.TryGetValue(name, out ConfigValue value))
                    return value;
            }

            return BrokerConfigs.Find(name) is { } definition
                ? DefaultOf(definition) : throw new ArgumentException($"{name} is not a broker configuration key.", nameof(name));
        }
    }

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

    /// <summary>
    /// Every value that a key has or would have, the one that counts first, as Kafka tells it: also those of keys that set the same thing
    /// in another unit, and none before the first under the key's own name.
    /// </summary>
    public IEnumerable<ConfigSynonym> Synonyms(string name)
    {
        string[] family = Array.Find(Families, keys => keys.Contains(name)) ?? [name];
        return _layers
            .SelectMany(layer => family.Where(layer.ContainsKey).Select(key => new ConfigSynonym(key, layer[key])))
            .Concat(family.Select(key => BrokerConfigs.Find(key)!).Where(key => key.Default is not null)
                .Select(key => new ConfigSynonym(key.Name, DefaultOf(key))))
            .SkipWhile(synonym => synonym.Name != name);
    }

    public bool IsSet(string name) => Array.Exists(_layers, layer => layer.ContainsKey(name));

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

    private static ConfigValue DefaultOf(ConfigDefinition key) => new(key.Default, ConfigSource.Default, "default");

    private ConfigValue Scaled(string name, long factor)
    {
        ConfigValue value = this[name];
        long number = long.Parse(value.Value!, NumberStyles.Integer, CultureInfo.InvariantCulture);
        return value with { Value = (number < 0 ? -1 : number * factor).ToString(CultureInfo.InvariantCulture) };
    }
}
