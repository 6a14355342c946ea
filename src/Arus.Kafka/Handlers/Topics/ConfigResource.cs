using Arus.Grains;

namespace Arus.Kafka;

/// <summary>What configuration belongs to, with the protocol's numbers, and the rules that the three configuration APIs share.</summary>
internal static class ConfigResource
{
    public const sbyte Topic = 2;
    public const sbyte Broker = 4;

    /// <exception cref="ArusException">There is no topic of that name.</exception>
    public static async ValueTask<TopicDescription> FindTopicAsync(TopicCache topicCache, string name) =>
        (TopicName.Validate(name) is { IsOk: false } refusal ? throw new ArusException(refusal.Error, refusal.Message ?? name)
            : await topicCache.GetAsync(name, TimeSpan.Zero))
        ?? throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"There is no topic {name}.");

    public static ArusException UnknownType(sbyte type) =>
        new(ErrorCode.InvalidRequest, $"Resources of type {type} have no configuration here.");
}
