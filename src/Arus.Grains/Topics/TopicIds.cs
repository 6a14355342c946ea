using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>Looks up which topics have some names, for those who keep something of a topic and are not told of its deletion.</summary>
internal sealed class TopicIds(IGrainStorage storage, IGrainFactory grains)
{
    private const int MaxConcurrentCalls = 32;

    /// <summary>The ids of the topics of these names, in order; empty where there is none.</summary>
    /// <param name="topics">Names, with the id that each is expected to have, if any.</param>
    /// <exception cref="Exception">What a grain call or a read threw.</exception>
    public async Task<Guid[]> FindIdsAsync(IReadOnlyList<(string Name, Guid Expected)> topics)
    {
        var found = new Guid[topics.Count];
        foreach (int[] some in Enumerable.Range(0, topics.Count).Chunk(MaxConcurrentCalls))
        {
            Guid[] ids = await Task.WhenAll(some.Select(i => FindIdAsync(topics[i].Name, topics[i].Expected)));
            ids.CopyTo(found, some[0]);
        }

        return found;
    }

    private async Task<Guid> FindIdAsync(string name, Guid expected)
    {
        if (!TopicName.IsValid(name))
            return Guid.Empty;

        ITopicGrain topic = grains.GetGrain<ITopicGrain>(name);
        Guid known = (await topic.DescribePartitionAsync(0))?.TopicId ?? Guid.Empty;
        if (known != Guid.Empty && (known == expected || expected == Guid.Empty))
            return known;

        // What is stored decides: the activation that has answered may be one that another has overtaken.
        var row = new GrainState<TopicState>(new TopicState());
        await storage.ReadStateAsync(TopicGrain.StateName, topic.GetGrainId(), row);
        return row is { RecordExists: true, State: { Deleting: false } stored } ? stored.Id : Guid.Empty;
    }
}
