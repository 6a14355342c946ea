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
    public static async ValueTask<TopicDescription> FindTopicAsync(TopicCache topicCache, string name) =>
        (TopicName.Validate(name) is { IsOk: false } refusal ? throw new ArusException(refusal.Error, refusal.Message ?? name)
            : await topicCache.GetAsync(name, TimeSpan.Zero))
        ?? throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"There is no topic {name}.");

    /// <summary>The topic whose configuration is to be changed.</summary>
    /// <exception cref="ArusException">
    /// There is none of that name, or the configuration of that type of resource cannot be changed.
    /// </exception>
    public static ValueTask<TopicDescription> FindChangeableTopicAsync(TopicCache topicCache, sbyte type, string name) => type switch
    {
        Topic => FindTopicAsync(topicCache, name),
        Broker => throw new ArusException(
            ErrorCode.InvalidRequest,
            $"The configuration of broker '{name}' is read at its start; change its configuration file and start it anew."),
        _ => throw UnknownType(type),
    };

    /// <summary>Checks that the resource is this broker: a broker knows its own configuration only.</summary>
    /// <exception cref="ArusException">It is another's, or no number.</exception>
    public static void RequireThisBroker(ILocalBroker broker, string name)
    {
        if (!int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int id) || id != broker.BrokerId)
        {
            throw new ArusException(
                ErrorCode.InvalidRequest, $"This is broker {broker.BrokerId}; ask broker '{name}' for its configuration.");
        }
    }

    public static ArusException UnknownType(sbyte type) =>
        new(ErrorCode.InvalidRequest, $"Resources of type {type} have no configuration here.");
}
