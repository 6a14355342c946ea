namespace Arus;

/// <summary>The rule for ids of consumer groups, as Kafka's but for one case: an id of white space only is refused as an empty one is.</summary>
public static class GroupId
{
    /// <summary>Whether a group may have this id; else a request for it is answered with <see cref="ErrorCode.InvalidGroupId"/>.</summary>
    /// <remarks>A group's id is the key of its grain, and Orleans has no grain whose key is blank.</remarks>
    public static bool IsValid(string? id) => !string.IsNullOrWhiteSpace(id);
}
