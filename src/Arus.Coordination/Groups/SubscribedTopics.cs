using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>The topics in a member's metadata under protocol type <c>consumer</c>.</summary>
internal static class SubscribedTopics
{
    /// <returns>Null for metadata of another format, which then counts as a subscription to anything.</returns>
    public static HashSet<string>? Of(ReadOnlyMemory<byte> metadata)
    {
        try
        {
            // The first version has the topics; what later ones append, or an assignor gets wrong in them, is not the coordinator's affair.
            string[] topics = DataMessages.ReadEmbedded<ConsumerProtocolSubscription>(metadata, maxVersion: 0).Topics;
            return new HashSet<string>(topics, StringComparer.Ordinal);
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }
}
