namespace Arus;

/// <summary>Kafka's rules for group ids.</summary>
public static class GroupId
{
    /// <summary>
    /// Whether a group of this id can have members; requests of members of any other fail with <see cref="ErrorCode.InvalidGroupId"/>.
    /// Offsets can be committed and fetched under the empty id, too.
    /// </summary>
    public static bool CanHaveMembers(string? id) => !string.IsNullOrEmpty(id);
}
