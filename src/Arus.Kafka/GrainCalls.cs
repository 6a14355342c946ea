namespace Arus.Kafka;

/// <summary>Runs grain calls side by side, a bounded number at a time.</summary>
internal static class GrainCalls
{
    public const int MaxAtOnce = 64;

    /// <summary>Maps the items concurrently; the results are in the order of the items.</summary>
    /// <param name="gone">Cancelled when the results are of no use any more: then no further call begins.</param>
    /// <exception cref="OperationCanceledException"><paramref name="gone"/> was cancelled.</exception>
    public static async Task<TResult[]> MapAsync<T, TResult>(
        IReadOnlyList<T> items, Func<T, Task<TResult>> map, CancellationToken gone = default)
    {
        if (items.Count == 1)
            return [await map(items[0])];

        var results = new TResult[items.Count];
        var bounds = new ParallelOptions { MaxDegreeOfParallelism = MaxAtOnce, CancellationToken = gone };
        await Parallel.ForAsync(0, items.Count, bounds, async (i, _) => results[i] = await map(items[i]));
        return results;
    }
}
