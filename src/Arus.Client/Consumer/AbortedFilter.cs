using Arus.Compression;
using Arus.Grains;

namespace Arus.Client;

/// <summary>Tells, batch by batch of a fetch in offset order, which were aborted. Not thread-safe.</summary>
/// <param name="aborted">Those of the fetch, in the order of their first offsets.</param>
internal sealed class AbortedFilter(AbortedTransaction[] aborted)
{
    private readonly HashSet<long> _producers = [];
    private int _next;

    /// <summary>Whether a batch belongs to a transaction that was aborted.</summary>
    public bool IsAborted(ReadOnlySpan<byte> batch)
    {
        var header = new RecordBatchHeader(batch);
        for (; _next < aborted.Length && aborted[_next].FirstOffset <= header.LastOffset; _next++)
            _producers.Add(aborted[_next].ProducerId);

        if (!header.IsControl)
            return header.IsTransactional && _producers.Contains(header.ProducerId);

        if (ControlRecord.TryReadMarker(batch, out ControlRecordType type, out _) && type == ControlRecordType.Abort)
            _producers.Remove(header.ProducerId);

        return false;
    }
}
