namespace Arus;

/// <summary>Kafka's rule for group ids, with one addition: an id of white space only is refused like an empty one.</summary>
public static class GroupId
{
    /// <summary>Whether the id is valid; requests with an invalid one fail with <see cref="ErrorCode.InvalidGroupId"/>.</summary>
    /// <remarks>A group's id is the key of its grain, and Orleans has no grain whose key is blank.</remarks>
    public static bool IsValid(string? id) => !string.IsNullOrWhiteSpace(id);
}
