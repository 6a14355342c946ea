using System.Diagnostics.Metrics;

namespace Arus.Grains;

/// <summary>What the partitions of this broker measure. No label names a topic: their number is not bounded.</summary>
/// <param name="meter">Named <see cref="MeterName"/>; owned.</param>
internal sealed class BrokerMetrics(TimeProvider time, Meter meter) : IDisposable
{
    public const string MeterName = "Arus.Broker";

    private static readonly MetricDefinition AppendedBytes = new(
        MetricKind.Counter, "arus.partition.appended", "By", "Bytes of record batches appended to the partitions that this broker leads.",
        "Never by itself: it is the load.");

    private static readonly MetricDefinition AppendedBatches = new(
        MetricKind.Counter, "arus.partition.append.batches", "{batch}", "Record batches appended, as producers sent them.",
        "When bytes for each batch are few: producers need a longer linger.ms.");

    private static readonly MetricDefinition AppendErrors = new(
        MetricKind.Counter, "arus.partition.append.errors", "{batch}", "Record batches that were refused.",
        "When it rises: the producers' own errors say why.");

    private static readonly MetricDefinition AppendDuration = new(
        MetricKind.Histogram, "arus.partition.append.duration", "s", "Time from an append's arrival at the partition to its durability.",
        "When it rises and the load does not: the disk of log.dir is slow or shared.");

    private static readonly MetricDefinition FetchedBytes = new(
        MetricKind.Counter, "arus.partition.fetched", "By",
        "Bytes of record batches that consumers read from the partitions of this broker.",
        "Never by itself: it is the load.");

    private static readonly MetricDefinition Fetches = new(
        MetricKind.Counter, "arus.partition.fetches", "{fetch}", "Reads of partitions.",
        "When bytes for each fetch are few: consumers need a larger fetch.min.bytes.");

    private static readonly MetricDefinition OpenPartitions = new(
        MetricKind.Gauge, "arus.partition.open", "{partition}", "Partitions that this broker leads with an open log.",
        "When one broker has far more than the others: its topics were created while others were away.");

    private static readonly MetricDefinition SegmentsDeleted = new(
        MetricKind.Counter, "arus.log.segments.deleted", "{segment}", "Log segments removed by retention.",
        "When it stands still and the disk fills: retention.ms and retention.bytes are too long.");

    private static readonly MetricDefinition SegmentsCompacted = new(
        MetricKind.Counter, "arus.log.segments.compacted", "{segment}", "Log segments rewritten by compaction.",
        "When it stands still and compacted topics grow: raise log.cleaner.threads.");

    private static readonly MetricDefinition Reclaimed = new(
        MetricKind.Counter, "arus.log.reclaimed", "By", "Bytes freed by retention and compaction.",
        "When it stays below the appended bytes for as long as the retention: the disk will fill.");

    private readonly Counter<long> _appended = AppendedBytes.CreateCounter(meter);
    private readonly Counter<long> _appendedBatches = AppendedBatches.CreateCounter(meter);
    private readonly Counter<long> _appendErrors = AppendErrors.CreateCounter(meter);
    private readonly Histogram<double> _appendDuration = AppendDuration.CreateHistogram(meter);
    private readonly Counter<long> _fetched = FetchedBytes.CreateCounter(meter);
    private readonly Counter<long> _fetches = Fetches.CreateCounter(meter);
    private readonly Counter<long> _segmentsDeleted = SegmentsDeleted.CreateCounter(meter);
    private readonly Counter<long> _segmentsCompacted = SegmentsCompacted.CreateCounter(meter);
    private readonly Counter<long> _reclaimed = Reclaimed.CreateCounter(meter);

    public BrokerMetrics(TimeProvider time)
        : this(time, new Meter(MeterName))
    {
    }

    public static IReadOnlyList<MetricDefinition> Definitions { get; } =
    [
        AppendedBytes, AppendedBatches, AppendErrors, AppendDuration, FetchedBytes, Fetches, OpenPartitions, SegmentsDeleted,
        SegmentsCompacted, Reclaimed,
    ];

    /// <summary>The meter of this broker alone, where a process has several.</summary>
    internal Meter Meter => meter;

    public void ObserveOpenPartitions(Func<int> count) => OpenPartitions.CreateGauge(meter, () => [new Measurement<long>(count())]);

    public long Started() => time.GetTimestamp();

    /// <param name="entries">What was to be appended, with a result for each.</param>
    public void Appended(long started, RecordBytes entries, AppendEntryResult[] results)
    {
        long bytes = 0;
        int refused = 0;
        for (int i = 0; i < results.Length; i++)
        {
            bool accepted = results[i].Error == ErrorCode.None;
            bytes += accepted ? entries[i].Length : 0;
            refused += accepted ? 0 : 1;
        }

        _appended.Add(bytes);
        _appendedBatches.Add(results.Length - refused);
        _appendErrors.Add(refused);
        _appendDuration.Record(time.GetElapsedTime(started).TotalSeconds);
    }

    public void Fetched(ReadOnlyMemory<byte>[] records)
    {
        long bytes = 0;
        foreach (ReadOnlyMemory<byte> slice in records)
            bytes += slice.Length;

        _fetches.Add(1);
        _fetched.Add(bytes);
    }

    public void Maintained(int segmentsDeleted, int segmentsCompacted, long bytesFreed)
    {
        _segmentsDeleted.Add(segmentsDeleted);
        _segmentsCompacted.Add(segmentsCompacted);
        _reclaimed.Add(bytesFreed);
    }

    public void Dispose() => meter.Dispose();
}
