namespace Arus.Grains;

/// <summary>A group's grain key: its id. Orleans has no grain whose key is blank, so such an id stands behind a mark.</summary>
public static class GroupKey
{
    /// <summary>No text that people write begins with it; an id that does is marked, too.</summary>
    private const char Mark = '\u0001';

    public static string Format(string groupId) =>
        string.IsNullOrWhiteSpace(groupId) || groupId[0] == Mark ? Mark + groupId : groupId;

    public static string Parse(string key) => key.Length > 0 && key[0] == Mark ? key[1..] : key;

    /// <summary>The coordinator of a group of any id.</summary>
    public static IGroupGrain GetGroup(this IGrainFactory grains, string groupId) => grains.GetGrain<IGroupGrain>(Format(groupId));
}
