namespace Arus;

/// <summary>Kafka's rules for topic names: 1 to 249 of <c>a-z A-Z 0-9 . _ -</c>, and neither <c>.</c> nor <c>..</c>.</summary>
public static class TopicName
{
    public const int MaxLength = 249;

    /// <summary>
    /// Topics in which Kafka's brokers keep what is their own, and which its clients treat so. Arus keeps it elsewhere: such a topic exists
    /// only where somebody has created it by name, and is never created because a client asks for it.
    /// </summary>
    public static bool IsInternal(string name) => name is "__consumer_offsets" or "__transaction_state" or "__share_group_state";

    /// <summary>Kafka's own log of metadata, whose name no topic may have.</summary>
    public static bool IsReserved(string name) => name == "__cluster_metadata";

    /// <summary>
    /// Whether two different names are one in the names of metrics, where Kafka writes <c>.</c> as <c>_</c>. Only one topic of such names
    /// can exist.
    /// </summary>
    public static bool Collide(string name, string other)
    {
        if (name.Length != other.Length || name == other)
            return false;

        for (int i = 0; i < name.Length; i++)
        {
            if (name[i] != other[i] && !(name[i] is '.' or '_' && other[i] is '.' or '_'))
                return false;
        }

        return true;
    }

    public static bool IsValid(string? name) => Validate(name).IsOk;

    /// <returns><see cref="ErrorCode.InvalidTopicException"/> with what is wrong about the name.</returns>
    public static ValidationResult Validate(string? name)
    {
        if (string.IsNullOrEmpty(name))
            return Refuse("A topic name may not be empty.");

        if (name.Length > MaxLength)
            return Refuse($"A topic name has at most {MaxLength} characters; this one has {name.Length}.");

        if (name is "." or "..")
            return Refuse($"A topic name may not be '{name}'.");

        foreach (char c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('.' or '_' or '-'))
                return Refuse($"Topic name '{name}' has the character '{c}'; only ASCII letters, digits, '.', '_' and '-' are allowed.");
        }

        return ValidationResult.Ok;
    }

    private static ValidationResult Refuse(string message) => new(ErrorCode.InvalidTopicException, message);
}
