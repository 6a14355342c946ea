using System.Buffers;

namespace Arus.Grains;

/// <summary>Which topic names are allowed; Kafka's rules.</summary>
public static class TopicNames
{
    public const int MaxLength = 249;

    private static readonly SearchValues<char> s_allowed =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    /// <summary>Says what is wrong with a name, or null.</summary>
    public static string? Validate(string name) =>
        name.Length == 0 ? "A topic name may not be empty."
        : name is "." or ".." ? $"'{name}' is not allowed as a topic name."
        : name.Length > MaxLength ? $"The topic name '{name[..32]}…' has {name.Length} characters; {MaxLength} are allowed."
        : name.AsSpan().ContainsAnyExcept(s_allowed) ? $"The topic name '{name}' has characters other than letters, digits, '.', '_' and '-'."
        : null;

    /// <summary>Topics that Kafka's own tools treat as the broker's.</summary>
    public static bool IsInternal(string name) => name is "__consumer_offsets" or "__transaction_state";
}
