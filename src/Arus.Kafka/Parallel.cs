namespace Arus.Kafka;

/// <summary>Runs grain calls side by side, a bounded number at a time.</summary>
internal static class Parallel
{
    internal const int MaxAtOnce = 64;

    /// <summary>The results in the order of the items. <paramref name="map"/> is called in that order, too.</summary>
    public static async Task<TResult[]> MapAsync<T, TResult>(IReadOnlyList<T> items, Func<T, Task<TResult>> map)
    {
        var results = new TResult[items.Count];
        var running = new Task<TResult>[Math.Min(items.Count, MaxAtOnce)];
        for (int first = 0; first < items.Count; first += MaxAtOnce)
        {
            int count = Math.Min(MaxAtOnce, items.Count - first);
            for (int i = 0; i < count; i++)
            {
                running[i] = map(items[first + i]);
            }

            for (int i = 0; i < count; i++)
            {
                results[first + i] = await running[i];
            }
        }

        return results;
    }
}
