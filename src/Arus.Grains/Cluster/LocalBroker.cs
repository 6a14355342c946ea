namespace Arus.Grains;

/// <inheritdoc cref="ILocalBroker"/>
public sealed class LocalBroker(int brokerId, BrokerConfig config) : ILocalBroker
{
    public int BrokerId { get; } = brokerId;

    public string SiloName { get; } = BrokerNames.SiloName(brokerId);

    public BrokerConfig Config { get; } = config;

    /// <summary>Whether the records are where every broker can read them, so that any may lead any partition.</summary>
    internal static bool SharesLogs(BrokerConfig config) => config.GetString(BrokerConfigs.LogType) == BrokerConfigs.LogTypeStorage;
}
