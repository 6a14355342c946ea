namespace Arus.Kafka;

/// <summary>Runs grain calls side by side, a bounded number at a time.</summary>
internal static class GrainCalls
{
    private static readonly ParallelOptions Bounded = new() { MaxDegreeOfParallelism = 64 };

    /// <summary>Maps the items concurrently; the results are in the order of the items.</summary>
    public static async Task<TResult[]> MapAsync<T, TResult>(IReadOnlyList<T> items, Func<T, Task<TResult>> map)
    {
        if (items.Count == 1)
            return [await map(items[0])];

        var results = new TResult[items.Count];
        await Parallel.ForAsync(0, items.Count, Bounded, async (i, _) => results[i] = await map(items[i]));
        return results;
    }
}
