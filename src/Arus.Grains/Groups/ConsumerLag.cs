using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>
/// Measures how far the groups that this broker coordinates are behind. Their coordinators report what is committed, and a pass every
/// <c>arus.group.lag.interval.ms</c> asks the leaders of those partitions for their high watermarks. A group is measured while its
/// coordinator is active, so idle groups cost nothing, and at most <c>arus.group.lag.max.partitions</c> committed offsets are: those that
/// come when it is reached are counted and left out until there is room. Safe for use by any thread.
/// </summary>
internal sealed partial class ConsumerLag : BackgroundService
{
    public const string MeterName = "Arus.Groups";

    private const int ConcurrentCalls = 16;

    private readonly IGrainFactory _grains;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly TimeSpan _interval;
    private readonly int _maxPartitions;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, Dictionary<TopicPartition, (long Offset, Guid TopicId)>> _committed = new(StringComparer.Ordinal);
    private readonly Meter _meter = new(MeterName);
    private readonly Counter<long> _omitted;
    private int _partitions;
    private bool _removed;

    private Meter _lagMeter;
    private ObservableGauge<long> _lag;
    private volatile Measurement<long>[] _measured = [];

    public ConsumerLag(IGrainFactory grains, LocalBroker broker, TimeProvider time, ILogger<ConsumerLag> logger)
    {
        _grains = grains;
        _time = time;
        _logger = logger;
        _interval = broker.Config.GetTimerPeriod(BrokerConfigs.GroupLagIntervalMs);
        _maxPartitions = broker.Config.GetInt(BrokerConfigs.GroupLagMaxPartitions);
        _omitted = Omitted.CreateCounter(_meter);
        (_lagMeter, _lag) = CreateGauge();
    }

    public static MetricDefinition Lag { get; } = new(
        MetricKind.Gauge, "arus.group.lag", "{record}",
        "Offsets between what a group has committed and the partition's high watermark, for groups that this broker coordinates. "
        + "Absent for a group that nobody has called for orleans.collection.age.ms.",
        "When it grows and goes on growing: the group's consumers are too slow, too few, or stopped.", "group", "topic", "partition");

    public static IReadOnlyList<MetricDefinition> Definitions => [Lag, Omitted];

    private static MetricDefinition Omitted { get; } = new(
        MetricKind.Counter, "arus.group.lag.omitted", "{offset}",
        "Committed offsets whose lag is not measured, because arus.group.lag.max.partitions are measured already.",
        "When it rises: raise that key; arus group describe shows the lag of any group.");

    /// <summary>Takes note of what a group has committed, once that is durable; null for an offset that was deleted.</summary>
    public void Committed(string group, IEnumerable<(TopicPartition Partition, (long Offset, Guid TopicId)? Offset)> offsets)
    {
        lock (_gate)
        {
            if (!_committed.TryGetValue(group, out Dictionary<TopicPartition, (long Offset, Guid TopicId)>? known))
                _committed.Add(group, known = []);

            foreach ((TopicPartition partition, (long Offset, Guid TopicId)? offset) in offsets)
                Set(known, partition, offset);

            if (known.Count == 0)
                _committed.Remove(group);
        }
    }

    /// <summary>The group's coordinator is active no more, at least here.</summary>
    public void Forget(string group)
    {
        lock (_gate)
        {
            if (_committed.Remove(group, out Dictionary<TopicPartition, (long Offset, Guid TopicId)>? known))
            {
                _partitions -= known.Count;
                _removed = true;
            }
        }
    }

    public override void Dispose()
    {
        _lagMeter.Dispose();
        _meter.Dispose();
        base.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(_interval, _time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
            await MeasureAsync(stoppingToken);
    }

    /// <summary>One pass. Does nothing while nobody collects the metric.</summary>
    internal async Task MeasureAsync(CancellationToken cancellationToken)
    {
        (string Group, (TopicPartition Partition, Guid TopicId) Of, long Offset)[] offsets;
        bool removed;
        lock (_gate)
        {
            offsets = _lag.Enabled
                ? [.. _committed.SelectMany(group => group.Value.Select(
                    offset => (group.Key, (offset.Key, offset.Value.TopicId), offset.Value.Offset)))]
                : [];
            (removed, _removed) = (_removed, false);
        }

        var highWatermarks = new ConcurrentDictionary<(TopicPartition Partition, Guid TopicId), long>();
        await Parallel.ForEachAsync(
            offsets.Select(offset => offset.Of).Distinct(),
            new ParallelOptions { MaxDegreeOfParallelism = ConcurrentCalls, CancellationToken = cancellationToken },
            async (partition, _) => await ReadHighWatermarkAsync(partition, highWatermarks));
        _measured =
        [
            .. offsets.Where(offset => highWatermarks.ContainsKey(offset.Of)).Select(offset => new Measurement<long>(
                Math.Max(0, highWatermarks[offset.Of] - offset.Offset),
                new("group", offset.Group), new("topic", offset.Of.Partition.Topic), new("partition", offset.Of.Partition.Partition))),
        ];
        if (removed)
        {
            // OpenTelemetry keeps room for every series that an instrument has had. A new instrument begins with none.
            _lagMeter.Dispose();
            (_lagMeter, _lag) = CreateGauge();
        }
    }

    private void Set(
        Dictionary<TopicPartition, (long Offset, Guid TopicId)> known, TopicPartition partition, (long Offset, Guid TopicId)? offset)
    {
        if (offset is { } value && (known.ContainsKey(partition) || _partitions < _maxPartitions))
        {
            _partitions += known.TryAdd(partition, value) ? 1 : 0;
            known[partition] = value;
        }
        else if (offset is not null)
        {
            _omitted.Add(1);
        }
        else if (known.Remove(partition))
        {
            _partitions--;
            _removed = true;
        }
    }

    private async Task ReadHighWatermarkAsync(
        (TopicPartition Partition, Guid TopicId) of, ConcurrentDictionary<(TopicPartition Partition, Guid TopicId), long> highWatermarks)
    {
        TopicPartition partition = of.Partition;
        try
        {
            ListOffsetResponse response = await _grains.GetGrain<IPartitionGrain>(PartitionKey.Format(partition.Topic, partition.Partition))
                .ListOffsetAsync(new ListOffsetRequest(ListOffsetRequest.Latest, -1, IsolationLevel.ReadUncommitted, of.TopicId));
            if (response.Error == ErrorCode.None)
                highWatermarks[of] = response.Offset;
        }
        catch (Exception failure) when (failure is OrleansException or TimeoutException or ArusException)
        {
            // Without a leader there is no high watermark; the next pass asks again.
            LogUnknown(partition, failure.Message);
        }
    }

    private (Meter Meter, ObservableGauge<long> Gauge) CreateGauge()
    {
        var meter = new Meter(MeterName);
        return (meter, Lag.CreateGauge(meter, () => _measured));
    }

    [LoggerMessage(LogLevel.Debug, "The high watermark of {Partition} is not known: {Reason}")]
    private partial void LogUnknown(TopicPartition partition, string reason);
}
