using Arus.Protocol;
using AssignedTopic = Arus.Protocol.ConsumerProtocolAssignment.AssignedTopic;
using OwnedTopic = Arus.Protocol.ConsumerProtocolSubscription.OwnedTopic;

namespace Arus.Client;

/// <summary>
/// The subscriptions and assignments that members of protocol type <c>consumer</c> embed in their joins and syncs. Any version is read;
/// unknown fields are skipped.
/// </summary>
internal static class ConsumerProtocol
{
    /// <summary>The protocol type that a consumer joins with.</summary>
    public const string Type = "consumer";

    public const short HighestVersion = 3;

    /// <param name="subscription">What the member says.</param>
    /// <param name="version">0 to 3; fields of later versions are left out.</param>
    public static byte[] EncodeSubscription(ConsumerSubscription subscription, short version = HighestVersion) =>
        DataMessages.WriteEmbedded(
            new ConsumerProtocolSubscription
            {
                Topics = [.. subscription.Topics],
                UserData = subscription.UserData.IsEmpty ? default(ReadOnlyMemory<byte>?) : subscription.UserData,
                OwnedPartitions =
                    [.. ByTopic(subscription.Owned).Select(t => new OwnedTopic { Topic = t.Topic, Partitions = t.Partitions })],
                GenerationId = subscription.Generation,
                RackId = subscription.RackId,
            },
            version);

    /// <exception cref="InvalidDataException">The bytes are not a subscription.</exception>
    public static ConsumerSubscription DecodeSubscription(ReadOnlyMemory<byte> data)
    {
        var read = DataMessages.ReadEmbedded<ConsumerProtocolSubscription>(data);
        IEnumerable<TopicPartition> owned = read.OwnedPartitions.SelectMany(topic => Of(topic.Topic, topic.Partitions));
        return new ConsumerSubscription(read.Topics, read.UserData.GetValueOrDefault(), [.. owned], read.GenerationId, read.RackId);
    }

    /// <summary>The layout is the same in all versions; 0 is the one that every client reads.</summary>
    public static byte[] EncodeAssignment(IReadOnlyCollection<TopicPartition> partitions) => DataMessages.WriteEmbedded(
        new ConsumerProtocolAssignment
        {
            AssignedPartitions = [.. ByTopic(partitions).Select(t => new AssignedTopic { Topic = t.Topic, Partitions = t.Partitions })],
        },
        version: 0);

    /// <summary>Empty data means no partitions: the coordinator sends it to a member that the leader has left out.</summary>
    /// <exception cref="InvalidDataException">The bytes are not an assignment.</exception>
    public static IReadOnlyList<TopicPartition> DecodeAssignment(ReadOnlyMemory<byte> data)
    {
        AssignedTopic[] topics = data.IsEmpty ? [] : DataMessages.ReadEmbedded<ConsumerProtocolAssignment>(data).AssignedPartitions;
        return [.. topics.SelectMany(topic => Of(topic.Topic, topic.Partitions))];
    }

    /// <summary>By topic, both in ascending order.</summary>
    public static IEnumerable<(string Topic, int[] Partitions)> ByTopic(IEnumerable<TopicPartition> partitions) =>
        partitions.GroupBy(partition => partition.Topic, StringComparer.Ordinal).OrderBy(topic => topic.Key, StringComparer.Ordinal)
            .Select(topic => (topic.Key, topic.Select(partition => partition.Partition).Order().ToArray()));

    public static IEnumerable<TopicPartition> Of(string topic, IEnumerable<int> partitions) =>
        partitions.Select(partition => new TopicPartition(topic, partition));
}
