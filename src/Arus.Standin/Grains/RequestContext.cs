namespace Orleans.Runtime;

/// <summary>Values that travel with every call made while they are set, from the caller to what it calls and on. Values are serializable.</summary>
public static class RequestContext
{
    // Never written to after it was stored: calls in flight share it.
    private static readonly AsyncLocal<Dictionary<string, object>?> Current = new();

    public static IEnumerable<string> Keys => Current.Value?.Keys ?? Enumerable.Empty<string>();

    public static IEnumerable<KeyValuePair<string, object>> Entries => Current.Value ?? Enumerable.Empty<KeyValuePair<string, object>>();

    public static object? Get(string key) => Current.Value?.GetValueOrDefault(key);

    public static void Set(string key, object value)
    {
        var next = Current.Value is { } present ? new Dictionary<string, object>(present) : [];
        next[key] = value;
        Current.Value = next;
    }

    public static bool Remove(string key)
    {
        if (Current.Value is not { } present || !present.ContainsKey(key))
        {
            return false;
        }

        var next = new Dictionary<string, object>(present);
        next.Remove(key);
        Current.Value = next.Count == 0 ? null : next;
        return true;
    }

    public static void Clear()
    {
        if (Current.Value is not null)
        {
            Current.Value = null;
        }
    }

    internal static Dictionary<string, object>? Export() => Current.Value;

    internal static void Import(Dictionary<string, object>? values)
    {
        if (values is not null || Current.Value is not null)
        {
            Current.Value = values;
        }
    }
}
