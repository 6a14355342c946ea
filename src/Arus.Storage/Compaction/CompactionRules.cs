namespace Arus.Storage;

/// <summary>A stretch of a log as compaction sees it: a segment, or a row.</summary>
/// <param name="LatestMs">When its last record was written, Unix milliseconds.</param>
/// <param name="FirstMs">When its first record was.</param>
internal readonly record struct CompactionPiece(long NextOffset, long Size, long LatestMs, long FirstMs);

/// <summary>What one pass of compaction works on.</summary>
/// <param name="FirstDirtyOffset">Everything before it was cleaned in an earlier pass.</param>
/// <param name="Generation">Of the log; the plan is void when the log was truncated since.</param>
internal sealed record CompactionPlan<T>(
    IReadOnlyList<T> Pieces, long FirstDirtyOffset, int Generation, LastOfProducers LastOfProducers, long NowMs)
    where T : IOffsetRange
{
    /// <summary>Where the pieces end.</summary>
    public long EndOffset => Pieces.Count == 0 ? 0 : Pieces[^1].NextOffset;

    /// <summary>The aborted transactions that have records in the pieces.</summary>
    public IReadOnlyList<LogAbortedTransaction> Aborted { get; init; } = [];

    /// <summary>The pieces that an earlier pass did not clean.</summary>
    public IEnumerable<T> Dirty => Pieces.Where(piece => piece.NextOffset > FirstDirtyOffset);

    /// <summary>Makes groups of neighbours that fit into one piece, of those whose keys are in the map.</summary>
    public IEnumerable<List<T>> Group(OffsetMap map, long maxBytes) =>
        CompactionRules.Group(Pieces.TakeWhile(piece => piece.BaseOffset < map.EndOffset), maxBytes);

    /// <param name="transactions">One for all groups, as the transactions go on from one to the next.</param>
    public BatchCleaner NewCleaner(OffsetMap map, CleanedTransactions transactions, TopicConfig config) =>
        new(map, LastOfProducers, transactions, NowMs, (long)config.DeleteRetention.TotalMilliseconds);
}

/// <summary>What may be compacted, and when it is worth it, as the topic's configuration wants.</summary>
internal static class CompactionRules
{
    /// <summary>Whether the piece has outlived <c>min.compaction.lag.ms</c>; it and all before it may be cleaned then.</summary>
    public static bool IsOldEnough(TopicConfig config, CompactionPiece piece, long nowMs) =>
        piece.Size == 0 || config.MinCompactionLagMs == 0 || nowMs - piece.LatestMs >= config.MinCompactionLagMs;

    /// <summary>
    /// Whether enough is dirty (<c>min.cleanable.dirty.ratio</c>) or for too long (<c>max.compaction.lag.ms</c>), or a tombstone may go.
    /// </summary>
    /// <param name="cleanable">What may be cleaned, in offset order.</param>
    /// <param name="cleanedOffset">Everything before it was cleaned in an earlier pass.</param>
    /// <param name="nextHorizonMs">When the next tombstone may go.</param>
    public static bool IsDue(
        TopicConfig config, IReadOnlyList<CompactionPiece> cleanable, long cleanedOffset, long nextHorizonMs, long nowMs)
    {
        CompactionPiece[] dirty = [.. cleanable.Where(piece => piece.NextOffset > cleanedOffset && piece.Size > 0)];
        long total = cleanable.Sum(piece => piece.Size);
        bool worthIt = dirty.Length > 0 && dirty.Sum(piece => piece.Size) >= config.MinCleanableDirtyRatio * total;
        bool overdue = config.MaxCompactionLagMs < long.MaxValue
            && Array.Exists(dirty, piece => nowMs - piece.FirstMs > config.MaxCompactionLagMs);
        bool tombstonesDue = cleanable.Count > 0 && nowMs >= nextHorizonMs;
        return total > 0 && (worthIt || overdue || tombstonesDue);
    }

    /// <summary>Makes groups of neighbours whose sum fits into one piece; one that is larger is a group alone.</summary>
    public static IEnumerable<List<T>> Group<T>(IEnumerable<T> pieces, long maxBytes)
        where T : IOffsetRange
    {
        List<T> group = [];
        long size = 0;
        foreach (T piece in pieces)
        {
            if (group.Count > 0 && (size + piece.Size > maxBytes || piece.NextOffset - group[0].BaseOffset > int.MaxValue / 2))
            {
                yield return group;
                (group, size) = ([], 0);
            }

            group.Add(piece);
            size += piece.Size;
        }

        if (group.Count > 0)
            yield return group;
    }
}
