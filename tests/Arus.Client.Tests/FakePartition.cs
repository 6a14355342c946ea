using System.Text;
using Arus.Compression;
using Arus.Grains;

namespace Arus.Client.Tests;

/// <summary>
/// A leader in memory. It has Kafka's rules for sequences, waits for records as a grain does, insists that a caller has one append
/// under way at a time, and fails when told to.
/// </summary>
internal sealed class FakePartition(TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly List<byte[]> _batches = [];
    private readonly Dictionary<long, (short Epoch, int LastSequence, List<(int First, int Last, long Offset)> Recent)> _producers = [];
    private readonly List<TaskCompletionSource> _fetchers = [];
    private readonly List<TaskCompletionSource> _arrivals = [];
    private TaskCompletionSource? _hold;
    private long _end;
    private int _underWay;

    public long LogStart { get; set; }

    public int Calls { get; private set; }

    public List<PartitionAppend> Requests { get; } = [];

    /// <summary>Asked before an append takes effect: a fault, or null.</summary>
    public Func<PartitionAppend, Exception?>? FailBefore { get; set; }

    /// <summary>Asked after an append took effect: a fault, or null.</summary>
    public Func<PartitionAppend, Exception?>? FailAfter { get; set; }

    /// <summary>Asked for each entry: a refusal, or None.</summary>
    public Func<RecordBatchInfo, ErrorCode>? Refuse { get; set; }

    /// <summary>A larger batch is refused, before its sequence is looked at, as a leader does.</summary>
    public int MaxBatchBytes { get; set; } = int.MaxValue;

    /// <summary>Asked before a fetch: a fault, or null.</summary>
    public Func<PartitionRead, Exception?>? FailFetch { get; set; }

    /// <summary>Asked before a fetch: an error to answer with, or None.</summary>
    public Func<PartitionRead, ErrorCode>? RefuseFetch { get; set; }

    public int Fetches { get; private set; }

    /// <summary>The next append is neither carried out nor answered.</summary>
    public bool LoseNextCall { get; set; }

    public long End
    {
        get
        {
            lock (_gate)
            {
                return _end;
            }
        }
    }

    /// <summary>From now on appends wait until <see cref="Release"/>.</summary>
    public void Hold() => _hold = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Release()
    {
        TaskCompletionSource? held = _hold;
        _hold = null;
        held?.SetResult();
    }

    /// <summary>Completes at the next append call.</summary>
    public Task NextCallAsync()
    {
        lock (_gate)
        {
            var source = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _arrivals.Add(source);
            return source.Task;
        }
    }

    public async Task<PartitionAppendResult> AppendAsync(PartitionAppend request)
    {
        if (Interlocked.Increment(ref _underWay) != 1)
        {
            throw new InvalidOperationException("Two appends to one partition were under way at once.");
        }

        try
        {
            lock (_gate)
            {
                Calls++;
                Requests.Add(request);
                _arrivals.ForEach(a => a.TrySetResult());
                _arrivals.Clear();
            }

            if (LoseNextCall)
            {
                LoseNextCall = false;
                Interlocked.Decrement(ref _underWay);
                await new TaskCompletionSource().Task;
            }

            await Task.Yield();
            if (_hold is { } held)
            {
                await held.Task;
            }

            if (FailBefore?.Invoke(request) is { } before)
            {
                throw before;
            }

            PartitionAppendResult response = new(0, 0, [.. request.Entries.Select(Append)]);
            return FailAfter?.Invoke(request) is { } after ? throw after : response;
        }
        finally
        {
            Interlocked.Decrement(ref _underWay);
        }
    }

    public async Task<PartitionReadResult> FetchAsync(PartitionRead request)
    {
        await Task.Yield();
        lock (_gate)
        {
            Fetches++;
        }

        if (FailFetch?.Invoke(request) is { } failure)
        {
            throw failure;
        }

        if (RefuseFetch?.Invoke(request) is { } refusal and not ErrorCode.None)
        {
            return new PartitionReadResult(refusal, 0, -1, -1, -1, []);
        }

        Task arrival;
        lock (_gate)
        {
            if (request.Offset < LogStart || request.Offset > _end)
            {
                return new PartitionReadResult(ErrorCode.OffsetOutOfRange, 0, -1, -1, LogStart, []);
            }

            if (request.Offset < _end || request.MaxWaitMs == 0)
            {
                return Read(request);
            }

            var source = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _fetchers.Add(source);
            arrival = source.Task;
        }

        await Task.WhenAny(arrival, Task.Delay(TimeSpan.FromMilliseconds(request.MaxWaitMs), time));
        lock (_gate)
        {
            return Read(request);
        }
    }

    public ListOffsetResponse ListOffset(ListOffsetRequest request)
    {
        lock (_gate)
        {
            long offset = request.Timestamp switch
            {
                ListOffsetRequest.Earliest => LogStart,
                ListOffsetRequest.Latest => _end,
                _ => _batches.Select(
                    b => new { Offset = new RecordBatchHeader(b).BaseOffset, Time = new RecordBatchHeader(b).MaxTimestamp })
                    .FirstOrDefault(b => b.Time >= request.Timestamp)?.Offset ?? -1,
            };
            return new ListOffsetResponse(ErrorCode.None, offset, -1, 0);
        }
    }

    /// <summary>Appends a batch as it is, whatever it is, under the next offsets.</summary>
    public void AppendRaw(ReadOnlySpan<byte> batch)
    {
        byte[] copy = batch.ToArray();
        lock (_gate)
        {
            RecordBatches.SetBaseOffset(copy, _end);
            _batches.Add(copy);
            _end = new RecordBatchHeader(copy).NextOffset;
            _fetchers.ForEach(f => f.TrySetResult());
            _fetchers.Clear();
        }
    }

    public void Append(params string[] values)
    {
        using var builder = new RecordBatchBuilder();
        foreach (string value in values)
        {
            builder.Append(1_000, Encoding.UTF8.GetBytes("k" + value), Encoding.UTF8.GetBytes(value));
        }

        AppendRaw(builder.Build(new RecordBatchOptions()).Span);
    }

    /// <summary>Every record on the log: offset, key and value as text.</summary>
    public List<(long Offset, string? Key, string? Value)> Records()
    {
        var records = new List<(long, string?, string?)>();
        using var scratch = new PooledBufferWriter();
        lock (_gate)
        {
            foreach (byte[] batch in _batches)
            {
                var header = new RecordBatchHeader(batch);
                Assert.True(RecordBatchPayload.TryOpen(batch, scratch, out ReadOnlyMemory<byte> payload).IsOk);
                var reader = new RecordReader(payload.Span, header.Count);
                while (reader.TryRead(out RecordView record))
                {
                    records.Add((
                        header.BaseOffset + record.OffsetDelta, record.IsKeyNull ? null : Encoding.UTF8.GetString(record.Key),
                        record.IsValueNull ? null : Encoding.UTF8.GetString(record.Value)));
                }
            }
        }

        return records;
    }

    private PartitionReadResult Read(PartitionRead request)
    {
        var found = new List<ReadOnlyMemory<byte>>();
        int size = 0;
        foreach (byte[] batch in _batches.Where(b => new RecordBatchHeader(b).NextOffset > request.Offset))
        {
            if (size > 0 && size + batch.Length > request.MaxBytes)
            {
                break;
            }

            found.Add(batch);
            size += batch.Length;
        }

        return new PartitionReadResult(ErrorCode.None, 0, _end, _end, LogStart, [.. found]);
    }

    private AppendEntryResult Append(ReadOnlyMemory<byte> entry)
    {
        Assert.Equal(ValidationResult.Ok, RecordBatches.Validate(entry.Span));
        Assert.Equal(ValidationResult.Ok, RecordBatches.ValidateForAppend(new RecordBatchHeader(entry.Span)));
        var header = new RecordBatchHeader(entry.Span);
        var info = new RecordBatchInfo(
            header.ProducerId, header.ProducerEpoch, header.BaseSequence, header.LastSequence, header.Count, header.Compression);
        if (entry.Length > MaxBatchBytes)
        {
            return new AppendEntryResult(
                ErrorCode.MessageTooLarge, -1, -1, $"The batch has {entry.Length} bytes; the limit is {MaxBatchBytes}.");
        }

        long duplicateOf = -1;
        ErrorCode sequence = info.ProducerId >= 0 ? CheckSequence(info, out duplicateOf) : ErrorCode.None;
        ErrorCode refused = Refuse?.Invoke(info) ?? ErrorCode.None;
        if (duplicateOf >= 0 && refused is (ErrorCode.None or ErrorCode.InvalidRecord))
        {
            return new AppendEntryResult(ErrorCode.None, duplicateOf, -1);
        }

        refused = refused == ErrorCode.None || (sequence != ErrorCode.None && !refused.IsRetriable()) ? sequence : refused;
        if (refused != ErrorCode.None)
        {
            return new AppendEntryResult(refused, -1, -1, $"The fake refuses: {refused}");
        }

        long offset = End;
        AppendRaw(entry.Span);
        if (info.ProducerId >= 0)
        {
            List<(int, int, long)> recent = _producers.TryGetValue(info.ProducerId, out var state) && state.Epoch == info.Epoch
                ? state.Recent : [];
            recent.Add((info.BaseSequence, info.LastSequence, offset));
            recent.RemoveRange(0, Math.Max(0, recent.Count - 5));
            _producers[info.ProducerId] = (info.Epoch, info.LastSequence, recent);
        }

        return new AppendEntryResult(ErrorCode.None, offset, -1);
    }

    private ErrorCode CheckSequence(RecordBatchInfo info, out long duplicateOf)
    {
        duplicateOf = -1;
        if (!_producers.TryGetValue(info.ProducerId, out var state) || info.Epoch > state.Epoch)
        {
            return info.BaseSequence == 0 ? ErrorCode.None : ErrorCode.OutOfOrderSequenceNumber;
        }

        if (info.Epoch < state.Epoch)
        {
            return ErrorCode.InvalidProducerEpoch;
        }

        int known = state.Recent.FindIndex(r => r.First == info.BaseSequence && r.Last == info.LastSequence);
        if (known >= 0)
        {
            duplicateOf = state.Recent[known].Offset;
            return ErrorCode.None;
        }

        return info.BaseSequence == ProducerSequence.Add(state.LastSequence, 1) ? ErrorCode.None : ErrorCode.OutOfOrderSequenceNumber;
    }
}

internal sealed record RecordBatchInfo(
    long ProducerId, short Epoch, int BaseSequence, int LastSequence, int Count, CompressionType Compression);
