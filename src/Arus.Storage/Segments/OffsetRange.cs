namespace Arus.Storage;

/// <summary>A stretch of a log: a segment, a row, a chunk of the tail cache.</summary>
internal interface IOffsetRange
{
    long BaseOffset { get; }

    /// <summary>The offset after its last batch.</summary>
    long NextOffset { get; }

    /// <summary>Bytes of batches.</summary>
    int Size { get; }
}

internal static class OffsetRange
{
    /// <summary>The index of the first range that ends behind an offset; the number of ranges when there is none.</summary>
    public static int FirstEndingAfter<T>(ReadOnlySpan<T> ranges, long offset)
        where T : IOffsetRange =>
        LastWhere(ranges, offset, static (range, key) => range.NextOffset <= key) + 1;

    /// <summary>The index of the last item for which a condition holds that holds for all before it; -1 when it holds for none.</summary>
    /// <param name="key">What the condition compares an item with.</param>
    public static int LastWhere<T>(ReadOnlySpan<T> items, long key, Func<T, long, bool> condition)
    {
        (int from, int to) = (0, items.Length);
        while (from < to)
        {
            int middle = (from + to) / 2;
            (from, to) = condition(items[middle], key) ? (middle + 1, to) : (from, middle);
        }

        return from - 1;
    }
}
