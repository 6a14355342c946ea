using System.Runtime.CompilerServices;

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
        ~ranges.BinarySearch(new EndsAfter<T>(offset));

    /// <summary>The index of the last item for which a condition holds that holds for all before it; -1 when it holds for none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LastWhere<T, TCondition>(ReadOnlySpan<T> items, TCondition condition)
        where TCondition : struct, IComparable<T> =>
        ~items.BinarySearch(condition) - 1;

    /// <summary>Compares so that a binary search, which never finds it, ends at the first range behind the offset.</summary>
    private readonly struct EndsAfter<T>(long offset) : IComparable<T>
        where T : IOffsetRange
    {
        public int CompareTo(T? other) => other!.NextOffset <= offset ? 1 : -1;
    }
}
