using System.Collections.Immutable;
using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>A record is known by the epoch in which it was written and a number of its own.</summary>
internal readonly record struct TestRecord(int Epoch, long Number);

/// <summary>A log in memory. What is appended is durable at once, unless a test holds it back.</summary>
internal sealed class TestLog : IReplicaLog
{
    private readonly List<TestRecord> _records = [];
    private long _checkpointedWatermark;

    public Guid LogId { get; private set; } = NewLogId();

    public int FencedEpoch { get; private set; } = -1;

    public long LogStartOffset { get; private set; }

    public long LogEndOffset => LogStartOffset + _records.Count;

    public long DurableEndOffset => Math.Min(HeldEnd ?? long.MaxValue, LogEndOffset);

    public long HighWatermark { get; private set; }

    /// <summary>What lies above is appended, but not durable.</summary>
    public long? HeldEnd { get; set; }

    public ImmutableArray<EpochStartOffset> Epochs
    {
        get
        {
            var epochs = ImmutableArray.CreateBuilder<EpochStartOffset>();
            for (int i = 0; i < _records.Count; i++)
            {
                if (epochs.Count == 0 || epochs[^1].Epoch != _records[i].Epoch)
                    epochs.Add(new EpochStartOffset(_records[i].Epoch, LogStartOffset + i));
            }

            return epochs.ToImmutable();
        }
    }

    public IReadOnlyList<TestRecord> Records => _records;

    public TestRecord this[long offset] => _records[checked((int)(offset - LogStartOffset))];

    public void Append(params IEnumerable<TestRecord> records) => _records.AddRange(records);

    public TestRecord[] Read(long offset, int count) =>
        offset < LogStartOffset || offset >= DurableEndOffset ? []
            : [.. _records.Skip((int)(offset - LogStartOffset)).Take((int)Math.Min(count, DurableEndOffset - offset))];

    public void Prepare(int epoch, long truncateTo, long restartAt, bool renewLogId)
    {
        Assert.True(epoch >= FencedEpoch, $"the fence falls from {FencedEpoch} to {epoch}");
        FencedEpoch = epoch;
        if (truncateTo >= 0)
            _records.RemoveRange((int)(truncateTo - LogStartOffset), (int)(LogEndOffset - truncateTo));

        if (restartAt >= 0)
        {
            _records.Clear();
            LogStartOffset = restartAt;
            HighWatermark = restartAt;
        }

        HighWatermark = Math.Min(HighWatermark, LogEndOffset);
        if (renewLogId)
            LogId = NewLogId();
    }

    public void AdvanceHighWatermark(long highWatermark, long logStartOffset)
    {
        Assert.True(highWatermark <= DurableEndOffset, $"high watermark {highWatermark} above the durable end {DurableEndOffset}");
        HighWatermark = Math.Max(HighWatermark, highWatermark);
        if (logStartOffset > LogStartOffset)
            DeleteBefore(logStartOffset);
    }

    public void DeleteBefore(long offset)
    {
        _records.RemoveRange(0, (int)(offset - LogStartOffset));
        LogStartOffset = offset;
    }

    public void Truncate(long offset)
    {
        _records.RemoveRange((int)(offset - LogStartOffset), (int)(LogEndOffset - offset));
        HighWatermark = Math.Min(HighWatermark, offset);
    }

    /// <summary>What a restart of the process finds.</summary>
    public void Checkpoint() => _checkpointedWatermark = HighWatermark;

    public void Restart() => HighWatermark = Math.Clamp(_checkpointedWatermark, LogStartOffset, LogEndOffset);

    /// <summary>The power failed: the newest records are gone, and the log knows it.</summary>
    public void LoseTail(int count)
    {
        _records.RemoveRange(_records.Count - count, count);
        LogId = NewLogId();
        HighWatermark = Math.Min(HighWatermark, LogEndOffset);
    }

    private static int s_ids;

    private static Guid NewLogId() => new(++s_ids, 0, 0, new byte[8]);
}
