using Microsoft.Extensions.Configuration;

namespace Arus.Hosting;

/// <summary>
/// The configuration of a broker in an application: keys of <see cref="BrokerConfigs"/> with their values, as text. A later value of a key
/// replaces an earlier one. Not safe for concurrent use.
/// </summary>
public sealed class ArusOptions
{
    /// <summary>The section of the application's configuration that <c>AddArus</c> reads.</summary>
    public const string Section = "Arus";

    private readonly Dictionary<string, ConfigValue> _values = new(StringComparer.Ordinal);

    /// <summary>Sets a key: <c>options["broker.id"] = "2"</c>.</summary>
    public string this[string key]
    {
        set => _values[key] = new ConfigValue(value, ConfigSource.StaticBroker, "code");
    }

    /// <summary>Sets every key of a configuration section. A value without a key, and a key without a value, are no part of it.</summary>
    public void Bind(IConfigurationSection section)
    {
        foreach (IConfigurationSection child in section.GetChildren())
            _values[child.Key] = new ConfigValue(child.Value, ConfigSource.StaticBroker, $"configuration section {section.Path}");
    }

    /// <exception cref="StartRefusedException">Keys are unknown or values not allowed; the message names all of them.</exception>
    internal BrokerConfig Build()
    {
        IReadOnlyList<string> faults = BrokerConfigs.Validate(_values);
        return faults.Count == 0
            ? new BrokerConfig(_values)
            : throw new StartRefusedException($"Arus cannot start as it is configured: {string.Join("; ", faults)}");
    }
}
