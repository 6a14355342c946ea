using System.Globalization;
using Arus.Compression;

namespace Arus.Storage;

/// <summary>What a topic demands of each record: a key, and a timestamp that is not too far from the broker's clock.</summary>
internal readonly struct RecordRules
{
    /// <summary>So many records at fault are named; the answer must end somewhere.</summary>
    private const int MaxNamed = 10_000;

    private const string NoKey = "The record has no key, which a compacted topic needs.";
    private const string BrokersTime = "The topic has message.timestamp.type=LogAppendTime; producers may not claim that timestamp type.";

    private readonly TopicConfig _config;
    private readonly long _baseTimestamp;
    private readonly long _nowMs;
    private readonly long _earliest;
    private readonly long _latest;
    private readonly bool _refusesType;

    public RecordRules(TopicConfig config, RecordBatchHeader header, long nowMs)
    {
        _config = config;
        _baseTimestamp = header.BaseTimestamp;
        _nowMs = nowMs;
        _refusesType = config.LogAppendTime && header.TimestampType == TimestampType.LogAppendTime;
        _earliest = config.LogAppendTime ? long.MinValue : nowMs - config.MessageTimestampBeforeMaxMs;
        _latest = config.LogAppendTime ? long.MaxValue : nowMs + Math.Min(config.MessageTimestampAfterMaxMs, long.MaxValue - nowMs);
    }

    /// <summary>Whether every record of a batch is as it must be.</summary>
    public bool Allow(in RecordSummary summary) =>
        !_refusesType && summary.EarliestTimestamp >= _earliest && summary.LatestTimestamp <= _latest
        && !(_config.Compact && summary.HasNullKeys);

    /// <summary>Names the records that are not as they must be.</summary>
    public ValidationResult Collect(ReadOnlySpan<byte> batch, PooledBufferWriter scratch, out LogRecordError[] errors)
    {
        var collector = new Collector(this);
        RecordBatchPayload.Walk(batch, scratch, ref collector);
        errors = [.. collector.Found];
        LogRecordError first = errors[0];
        return new ValidationResult(
            collector.AnyTimestamp ? ErrorCode.InvalidTimestamp : ErrorCode.InvalidRecord,
            $"{collector.Count} of the batch's records are refused. Record {first.RecordIndex}: {first.Message}");
    }

    private string? ProblemOf(long timestamp, bool isKeyNull, out bool isTimestamp)
    {
        isTimestamp = false;
        if (isKeyNull && _config.Compact)
            return NoKey;

        isTimestamp = true;
        if (_refusesType)
            return BrokersTime;

        isTimestamp = timestamp != RecordBatchHeader.NoTimestamp && (timestamp < _earliest || timestamp > _latest);
        if (!isTimestamp)
            return null;

        (string key, long limit) = timestamp > _latest
            ? (TopicConfigs.MessageTimestampAfterMaxMs, _config.MessageTimestampAfterMaxMs)
            : (TopicConfigs.MessageTimestampBeforeMaxMs, _config.MessageTimestampBeforeMaxMs);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"Timestamp {timestamp} is too far from the broker's clock, which shows {_nowMs}: {key}={limit}.");
    }

    private struct Collector(RecordRules rules) : IRecordVisitor
    {
        public List<LogRecordError> Found { get; } = [];

        public int Count { get; private set; }

        public bool AnyTimestamp { get; private set; }

        public bool Visit(int index, long timestampDelta, int offsetDelta, bool isKeyNull)
        {
            long timestamp = unchecked(rules._baseTimestamp + timestampDelta);
            if (rules.ProblemOf(timestamp, isKeyNull, out bool isTimestamp) is not { } problem)
                return true;

            Count++;
            AnyTimestamp |= isTimestamp;
            if (Found.Count < MaxNamed)
                Found.Add(new LogRecordError(index, problem));

            return true;
        }
    }
}
