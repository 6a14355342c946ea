using System.Globalization;

namespace Arus.Grains;

/// <summary>The broker that this process is. A singleton service of every silo; safe for use by any thread.</summary>
/// <param name="config">What was configured at start.</param>
public sealed class LocalBroker(BrokerConfig config)
{
    private readonly Lock _lock = new();
    private volatile BrokerConfig _config = config;
    private volatile DynamicConfigs _dynamic = DynamicConfigs.None;

    /// <summary>Raised after the dynamic configuration changed, on the thread that brought the change.</summary>
    public event Action? Reconfigured;

    public int BrokerId { get; } = config.GetInt(BrokerConfigs.BrokerId);

    /// <summary>What counts now: dynamic values, then what was configured at start.</summary>
    public BrokerConfig Config => _config;

    /// <summary>The dynamic configuration of the cluster, as far as this broker knows it.</summary>
    public DynamicConfigs Dynamic => _dynamic;

    /// <summary>The name of this process's silo in the cluster membership.</summary>
    public string SiloName => BrokerNames.SiloName(BrokerId);

    /// <summary>Whether the records are where every broker can read them, so that any may lead any partition.</summary>
    public bool SharesLogs { get; } = config.GetString(BrokerConfigs.LogType) == BrokerConfigs.LogTypeStorage;

    /// <summary>Takes over a newer dynamic configuration. What is null or not newer changes nothing.</summary>
    public void Reconfigure(DynamicConfigs? dynamic)
    {
        lock (_lock)
        {
            if (dynamic is null || dynamic.Version <= _dynamic.Version)
                return;

            _dynamic = dynamic;
            _config = _config.WithDynamic(
                dynamic.Of(ConfigResourceType.Broker, $"{BrokerId}"), dynamic.Of(ConfigResourceType.Broker, ""));
        }

        Reconfigured?.Invoke();
    }
}

/// <summary>How broker ids and silo names stand for each other.</summary>
public static class BrokerNames
{
    private const string Prefix = "broker-";

    public static string SiloName(int brokerId) => string.Create(CultureInfo.InvariantCulture, $"{Prefix}{brokerId}");

    public static bool TryParse(string? siloName, out int brokerId)
    {
        brokerId = 0;
        return siloName is not null
            && siloName.StartsWith(Prefix, StringComparison.Ordinal)
            && int.TryParse(siloName.AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out brokerId);
    }
}
