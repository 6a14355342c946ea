namespace Arus.Grains;

/// <summary>What is durable of a topic. Replaced as a whole, never changed in place.</summary>
[GenerateSerializer, Alias("arus.TopicState")]
internal sealed record TopicState
{
    /// <summary>Empty when there is no topic.</summary>
    [Id(0)]
    public Guid Id { get; set; }

    /// <summary>The brokers of each partition, the preferred leader first.</summary>
    [Id(1)]
    public int[][] Replicas { get; set; } = [];

    [Id(2)]
    public Dictionary<string, string> Configs { get; set; } = [];

    /// <summary>Grows with every change.</summary>
    [Id(3)]
    public long Version { get; set; }

    /// <summary>The deletion was decided; it continues until nothing is left.</summary>
    [Id(4)]
    public bool Deleting { get; set; }

    /// <summary>Unix milliseconds.</summary>
    [Id(5)]
    public long CreatedAtMs { get; set; }
}
