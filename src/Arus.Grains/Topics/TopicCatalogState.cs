
namespace Arus.Grains;

/// <summary>
/// One row of a catalog shard. A shard spreads its topics over many rows, so that a new topic rewrites a few kilobytes however many
/// topics there are.
/// </summary>
[GenerateSerializer, Alias("arus.TopicCatalogRow")]
internal sealed class TopicCatalogRow
{
    [Id(0)]
    public TopicListing[] Listed { get; set; } = [];

    /// <summary>Being created or deleted when this was written: the topic itself knows which.</summary>
    [Id(1)]
    public TopicListing[] Pending { get; set; } = [];
}
