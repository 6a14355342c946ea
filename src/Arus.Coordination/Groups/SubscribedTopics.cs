using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>The topics in a member's metadata under protocol type <c>consumer</c>.</summary>
internal static class SubscribedTopics
{
    /// <returns>False for metadata of another format, which then counts as a subscription to anything.</returns>
    public static bool TryAddTo(HashSet<string> topics, ReadOnlyMemory<byte> metadata)
    {
        try
        {
            // The first version has the topics; what later ones append, or an assignor gets wrong in them, is not the coordinator's affair.
            topics.UnionWith(DataMessages.ReadEmbedded<ConsumerProtocolSubscription>(metadata, maxVersion: 0).Topics);
            return true;
        }
        catch (InvalidDataException)
        {
            return false;
        }
    }
}
