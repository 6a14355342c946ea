namespace Arus.Grains;

/// <summary>
/// The topics of a cluster as this broker's image of all partitions has them, without a call; a service only where partitions are
/// replicated. Topics that it does not know may exist nevertheless. Descriptions have no configuration. Safe for use by any thread.
/// </summary>
public interface ITopicImage
{
    TopicDescription? Find(string name);

    TopicDescription? Find(Guid id);

    /// <summary>The version of the newest change of a partition that this broker knows of.</summary>
    long LatestVersion { get; }

    /// <summary>
    /// Raised on a pool thread when a broker was declared dead and others lead in its place. A client whose connection to it is merely
    /// silent is not told, and waits for a timeout of its own.
    /// </summary>
    event Action? LeadersReplaced;
}
