namespace Arus.Coordination;

/// <summary>
/// The settings of transactions, with the values of a broker's configuration, which has checked them, unless others are set.
/// </summary>
public sealed class TransactionOptions(BrokerConfig config)
{
    /// <summary>The longest timeout that a producer may ask for.</summary>
    public int MaxTimeoutMs { get; init; } = config.GetInt(BrokerConfigs.TransactionMaxTimeoutMs);

    /// <summary>How long a transactional id without a transaction is remembered.</summary>
    public int IdExpirationMs { get; init; } = config.GetInt(BrokerConfigs.TransactionalIdExpirationMs);
}
