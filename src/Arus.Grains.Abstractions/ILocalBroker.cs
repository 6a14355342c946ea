using System.Globalization;

namespace Arus.Grains;

/// <summary>The broker that this process is. A singleton service of every silo; safe for use by any thread.</summary>
public interface ILocalBroker
{
    int BrokerId { get; }

    /// <summary>The name of this process's silo in the cluster membership: <see cref="BrokerNames.SiloName"/>.</summary>
    string SiloName { get; }

    /// <summary>What was configured at start.</summary>
    BrokerConfig Config { get; }
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
