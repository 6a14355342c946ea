using System.Diagnostics.Metrics;

namespace Arus.Grains;

/// <summary>What the partitions of this broker measure. No label names a topic: their number is not bounded.</summary>
internal sealed class BrokerMetrics : IDisposable
{
    public const string MeterName = "Arus.Broker";

    private readonly Meter _meter = new(MeterName);
    private readonly TimeProvider _time;
    private readonly Counter<long> _appendedBytes;
    private readonly Counter<long> _appendedEntries;
    private readonly Counter<long> _refusedEntries;
    private readonly Histogram<double> _appendSeconds;
    private readonly Counter<long> _fetchedBytes;
    private readonly Counter<long> _fetches;
    private readonly Counter<long> _segmentsDeleted;
    private readonly Counter<long> _segmentsCompacted;
    private readonly Counter<long> _bytesFreed;

    public BrokerMetrics(TimeProvider time)
    {
        _time = time;
        _appendedBytes = _meter.CreateCounter<long>("arus.append.bytes", "By", "Bytes of record batches appended to partitions.");
        _appendedEntries = _meter.CreateCounter<long>("arus.append.entries", description: "Appended entries: record batches as producers sent them.");
        _refusedEntries = _meter.CreateCounter<long>("arus.append.refused", description: "Entries that were refused.");
        _appendSeconds = _meter.CreateHistogram<double>("arus.append.duration", "s", "From a call's arrival at the partition to its durability.");
        _fetchedBytes = _meter.CreateCounter<long>("arus.fetch.bytes", "By", "Bytes of record batches read from partitions.");
        _fetches = _meter.CreateCounter<long>("arus.fetch.calls", description: "Reads of partitions.");
        _segmentsDeleted = _meter.CreateCounter<long>("arus.log.segments.deleted", description: "Segments removed by retention.");
        _segmentsCompacted = _meter.CreateCounter<long>("arus.log.segments.compacted", description: "Segments rewritten by compaction.");
        _bytesFreed = _meter.CreateCounter<long>("arus.log.freed", "By", "Bytes freed by retention and compaction.");
    }

    public void ObserveOpenPartitions(Func<int> count) =>
        _meter.CreateObservableUpDownCounter("arus.partitions.open", count, description: "Partitions that this broker leads with an open log.");

    public long Started() => _time.GetTimestamp();

    public void Appended(long started, long bytes, AppendEntryResult[] results)
    {
        int refused = 0;
        foreach (AppendEntryResult result in results)
        {
            refused += result.Error == ErrorCode.None ? 0 : 1;
        }

        _appendedBytes.Add(refused == 0 ? bytes : 0);
        _appendedEntries.Add(results.Length - refused);
        _refusedEntries.Add(refused);
        _appendSeconds.Record(_time.GetElapsedTime(started).TotalSeconds);
    }

    public void Fetched(ReadOnlyMemory<byte>[] records)
    {
        long bytes = 0;
        foreach (ReadOnlyMemory<byte> slice in records)
        {
            bytes += slice.Length;
        }

        _fetches.Add(1);
        _fetchedBytes.Add(bytes);
    }

    public void Maintained(int segmentsDeleted, int segmentsCompacted, long bytesFreed)
    {
        _segmentsDeleted.Add(segmentsDeleted);
        _segmentsCompacted.Add(segmentsCompacted);
        _bytesFreed.Add(bytesFreed);
    }

    public void Dispose() => _meter.Dispose();
}
