using Arus.Compression;

namespace Arus.Storage;

/// <summary>
/// Follows the transactions of a log through a pass of compaction, batch by batch in offset order: which records were aborted, and which
/// markers nothing needs any more.
/// </summary>
/// <param name="aborted">Those that have records in what the pass reads.</param>
internal sealed class CleanedTransactions(IEnumerable<LogAbortedTransaction> aborted)
{
    /// <summary>In the order of their first offsets.</summary>
    private readonly Queue<LogAbortedTransaction> _ahead = new(aborted.OrderBy(transaction => transaction.FirstOffset));

    /// <summary>By their producers, those that have begun and not ended where the pass is.</summary>
    private readonly Dictionary<long, LogAbortedTransaction> _aborted = [];

    /// <summary>Producers of whose present transaction a batch was seen, be it empty.</summary>
    private readonly HashSet<long> _seen = [];

    /// <summary>Passes a batch of records.</summary>
    /// <returns>Whether it belongs to a transaction that was aborted.</returns>
    public bool IsAborted(RecordBatchHeader batch)
    {
        if (!batch.IsTransactional)
            return false;

        BeginUpTo(batch.LastOffset);
        _seen.Add(batch.ProducerId);
        return _aborted.ContainsKey(batch.ProducerId);
    }

    /// <summary>Passes a control batch.</summary>
    /// <param name="aborted">The transaction that it aborts, if readers may still come upon its records; null otherwise.</param>
    /// <returns>Whether it is the marker of a transaction without any batch: nobody needs it.</returns>
    public bool IsMarkerOfNothing(ReadOnlySpan<byte> batch, out LogAbortedTransaction? aborted)
    {
        var header = new RecordBatchHeader(batch);
        BeginUpTo(header.LastOffset);
        bool wasSeen = _seen.Remove(header.ProducerId);
        bool isMarker = ControlRecord.TryReadMarker(batch, out _, out _);
        _aborted.Remove(header.ProducerId, out aborted);
        aborted = wasSeen ? aborted : null;
        return !wasSeen || !isMarker;
    }

    private void BeginUpTo(long offset)
    {
        while (_ahead.TryPeek(out LogAbortedTransaction? transaction) && transaction.FirstOffset <= offset)
            _aborted[transaction.ProducerId] = _ahead.Dequeue();
    }
}
