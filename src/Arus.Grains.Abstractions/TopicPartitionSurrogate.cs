namespace Arus.Grains;

/// <summary>Carries <see cref="TopicPartition"/> between silos; Model itself knows no Orleans.</summary>
[GenerateSerializer, Immutable, Alias("arus.TopicPartition")]
public struct TopicPartitionSurrogate
{
    [Id(0)]
    public string Topic;

    [Id(1)]
    public int Partition;
}

[RegisterConverter]
public sealed class TopicPartitionConverter : IConverter<TopicPartition, TopicPartitionSurrogate>
{
    public TopicPartition ConvertFromSurrogate(in TopicPartitionSurrogate surrogate) => new(surrogate.Topic, surrogate.Partition);

    public TopicPartitionSurrogate ConvertToSurrogate(in TopicPartition value) =>
        new() { Topic = value.Topic, Partition = value.Partition };
}
