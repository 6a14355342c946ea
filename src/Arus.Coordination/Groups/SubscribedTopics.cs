using System.Buffers.Binary;
using System.Text;

namespace Arus.Coordination;

/// <summary>
/// Reads the topics out of a member's metadata under protocol type <c>consumer</c> (Kafka's <c>ConsumerProtocolSubscription</c>: an
/// int16 version, an int32 count, strings with int16 lengths, and more that the coordinator leaves alone).
/// </summary>
internal static class SubscribedTopics
{
    /// <returns>False for metadata of another format, which then counts as a subscription to anything.</returns>
    public static bool TryAddTo(HashSet<string> topics, ReadOnlySpan<byte> metadata)
    {
        if (metadata.Length < 6 || BinaryPrimitives.ReadInt16BigEndian(metadata) < 0)
        {
            return false;
        }

        int count = BinaryPrimitives.ReadInt32BigEndian(metadata[2..]);
        metadata = metadata[6..];
        for (int i = 0; i < count; i++)
        {
            if (metadata.Length < 2)
            {
                return false;
            }

            int length = BinaryPrimitives.ReadInt16BigEndian(metadata);
            if (length < 0 || length > metadata.Length - 2)
            {
                return false;
            }

            topics.Add(Encoding.UTF8.GetString(metadata.Slice(2, length)));
            metadata = metadata[(2 + length)..];
        }

        return count >= 0;
    }
}
