namespace Arus.Grains;

/// <summary>A partition's metadata, changed only by compare-and-swap: the activation that raised the epoch last leads.</summary>
[GenerateSerializer, Alias("arus.PartitionState")]
internal sealed class PartitionLeadership
{
    /// <summary>-1 before the first leader.</summary>
    [Id(0)]
    public int LeaderEpoch { get; set; } = -1;

    [Id(1)]
    public int Leader { get; set; } = -1;

    [Id(2)]
    public int[] Replicas { get; set; } = [];

    [Id(3)]
    public int[] Isr { get; set; } = [];

    /// <summary>The topic whose records these are; another id means that the topic was deleted and created again.</summary>
    [Id(4)]
    public Guid TopicId { get; set; }
}
