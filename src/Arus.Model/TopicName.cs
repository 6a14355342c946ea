namespace Arus;

/// <summary>Kafka's rules for topic names: 1 to 249 of <c>a-z A-Z 0-9 . _ -</c>, and neither <c>.</c> nor <c>..</c>.</summary>
public static class TopicName
{
    public const int MaxLength = 249;

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
