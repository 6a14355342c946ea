using System.Globalization;
using Arus.Grains;

namespace Arus.Kafka;

/// <summary>What configuration belongs to, with the protocol's numbers, and the rules that the three configuration APIs share.</summary>
internal static class ConfigResource
{
    public const sbyte Topic = 2;
    public const sbyte Broker = 4;

    /// <summary>The topic of a request on configuration.</summary>
    /// <exception cref="ArusException">There is none of that name.</exception>
    public static async ValueTask<TopicDescription> FindTopicAsync(GatewayServices services, string name) =>
        (TopicName.Validate(name) is { IsOk: false } refusal ? throw new ArusException(refusal.Error, refusal.Message ?? name)
            : await services.Topics.GetAsync(name, TimeSpan.Zero))
        ?? throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"There is no topic {name}.");

    /// <summary>Checks that the resource is this broker: a broker knows its own configuration only.</summary>
    /// <exception cref="ArusException">It is another's, or no number.</exception>
    public static void RequireThisBroker(GatewayServices services, string name)
    {
        if (!int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int id) || id != services.Broker.BrokerId)
        {
            throw new ArusException(ErrorCode.InvalidRequest, $"This is broker {services.Broker.BrokerId}; ask broker '{name}' for its configuration.");
        }
    }

    /// <exception cref="ArusException">Always.</exception>
    public static void RefuseChange(sbyte type, string name) => throw new ArusException(
        ErrorCode.InvalidRequest,
        type == Broker
            ? $"The configuration of broker '{name}' is read at its start; change its configuration file and start it anew."
            : $"Resources of type {type} have no configuration here.");
}
