namespace Arus;

/// <summary>Names one partition of one topic.</summary>
/// <param name="Topic">The topic's name.</param>
/// <param name="Partition">0 and up.</param>
public readonly record struct TopicPartition(string Topic, int Partition)
{
    public override string ToString() => $"{Topic}-{Partition}";
}
