using System.Globalization;

namespace Arus.Grains;

/// <summary>The broker that this process is. A singleton service of every silo; safe for use by any thread.</summary>
/// <param name="Config">What was configured at start.</param>
public sealed record LocalBroker(BrokerConfig Config)
{
    public int BrokerId { get; } = Config.GetInt(BrokerConfigs.BrokerId);

    /// <summary>The name of this process's silo in the cluster membership.</summary>
    public string SiloName => BrokerNames.SiloName(BrokerId);

    /// <summary>Whether the records are where every broker can read them, so that any may lead any partition.</summary>
    public bool SharesLogs => Config.GetString(BrokerConfigs.LogType) == BrokerConfigs.LogTypeStorage;
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
