namespace Arus.Grains;

/// <inheritdoc cref="ILocalBroker"/>
public sealed class LocalBroker(int brokerId, BrokerConfig config) : ILocalBroker
{
    public int BrokerId { get; } = brokerId;

    public string SiloName { get; } = BrokerNames.SiloName(brokerId);

    public BrokerConfig Config { get; } = config;
}
