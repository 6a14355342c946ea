using Arus.Grains;
using Arus.Testing;

namespace Arus.Kafka.Tests;

/// <summary>A partition whose log is a list of batches. With <see cref="Hold"/> its appends wait until the test lets them go.</summary>
internal sealed class FakePartition : IPartitionGrain
{
    private readonly Lock _lock = new();
    private readonly List<(long Offset, byte[] Batch)> _log = [];
    private readonly List<TaskCompletionSource> _waiting = [];
    private readonly List<(Func<bool> Condition, TaskCompletionSource Met)> _conditions = [];
    private TaskCompletionSource? _gate;

    public List<PartitionAppend> Appends { get; } = [];

    public List<PartitionRead> Fetches { get; } = [];

    /// <summary>How many bytes of records each fetch returned.</summary>
    public List<long> FetchedBytes { get; } = [];

    /// <summary>Calls that wait, or waited, for an offset.</summary>
    public List<PartitionWait> Waits { get; } = [];

    public int AppendsAtOnce { get; private set; }

    public int MostAppendsAtOnce { get; private set; }

    public Exception? Failure { get; set; }

    public ErrorCode AppendError { get; set; }

    public ErrorCode FetchError { get; set; }

    public long EndOffset
    {
        get
        {
            lock (_lock)
            {
                return _log.Count == 0 ? 0 : new RecordBatchHeader(_log[^1].Batch).NextOffset;
            }
        }
    }

    public int RunningWaits
    {
        get
        {
            lock (_lock)
            {
                return _waiting.Count;
            }
        }
    }

    /// <summary>The batches in the order of their append.</summary>
    public byte[][] Log
    {
        get
        {
            lock (_lock)
            {
                return [.. _log.Select(entry => entry.Batch)];
            }
        }
    }

    public void Hold() => _gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    public void LetGo()
    {
        TaskCompletionSource? gate = _gate;
        _gate = null;
        gate?.SetResult();
    }

    /// <summary>Ends when the condition holds; it is tried after each call.</summary>
    public Task WhenAsync(Func<FakePartition, bool> condition)
    {
        lock (_lock)
        {
            if (condition(this))
            {
                return Task.CompletedTask;
            }

            var met = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _conditions.Add((() => condition(this), met));
            return met.Task.WaitAsync(TestTimeout.Value);
        }
    }

    public async Task<PartitionAppendResult> AppendAsync(PartitionAppend request)
    {
        lock (_lock)
        {
            Appends.Add(request);
            MostAppendsAtOnce = Math.Max(MostAppendsAtOnce, ++AppendsAtOnce);
            Check();
        }

        try
        {
            if (_gate is { } gate)
            {
                await gate.Task;
            }

            await Task.Yield();
            return Failure is not null ? throw Failure : new PartitionAppendResult(5, 0, [.. request.Entries.Select(Append)]);
        }
        finally
        {
            lock (_lock)
            {
                AppendsAtOnce--;
            }
        }
    }

    public async Task<PartitionReadResult> FetchAsync(PartitionRead request)
    {
        await Task.Yield();
        lock (_lock)
        {
            Fetches.Add(request);
            try
            {
                PartitionReadResult result = Failure is not null ? throw Failure : Read(request);
                FetchedBytes.Add(result.Records.SizeInBytes);
                return result;
            }
            finally
            {
                Check();
            }
        }
    }

    /// <summary>Ends the waits, as their time limit would.</summary>
    public void EndWaits()
    {
        TaskCompletionSource[] waiting;
        lock (_lock)
        {
            waiting = [.. _waiting];
            _waiting.Clear();
        }

        Array.ForEach(waiting, wait => wait.SetResult());
    }

    public async Task<PartitionOffsets> WaitForOffsetAsync(PartitionWait request)
    {
        TaskCompletionSource? arrived = null;
        lock (_lock)
        {
            Waits.Add(request);
            if (Failure is null && FetchError == ErrorCode.None && request.AfterOffset >= EndOffset)
            {
                arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                _waiting.Add(arrived);
            }

            Check();
        }

        await (arrived?.Task ?? Task.CompletedTask);
        lock (_lock)
        {
            long available = Select(request.AfterOffset, request.MaxBytes, minOneBatch: true).Sum(batch => (long)batch.Length);
            return Failure is not null ? throw Failure : new PartitionOffsets(FetchError, 5, EndOffset, EndOffset, 0, available);
        }
    }

    public long Put(byte[] batch) => Append(batch).BaseOffset;

    public Task<ListOffsetResponse> ListOffsetAsync(ListOffsetRequest request) => Failure is not null
        ? throw Failure
        : Task.FromResult(new ListOffsetResponse(ErrorCode.None, request.Timestamp == ListOffsetRequest.Earliest ? 0 : EndOffset, -1, 5));

    public Task<EpochEndResponse> GetEpochEndAsync(int currentLeaderEpoch, int leaderEpoch) =>
        Task.FromResult(new EpochEndResponse(ErrorCode.None, leaderEpoch, EndOffset));

    public Task<DeleteRecordsResponse> DeleteRecordsAsync(long beforeOffset) =>
        Task.FromResult(new DeleteRecordsResponse(ErrorCode.None, beforeOffset));

    public Task<PartitionDescription> DescribeAsync() =>
        Task.FromResult(new PartitionDescription(ErrorCode.None, 1, 5, 0, EndOffset, EndOffset, 1234, 1));

    public Task ReconfigureAsync() => Task.CompletedTask;

    public Task DeleteAsync(Guid topicId) => Task.CompletedTask;

    private AppendEntryResult Append(ReadOnlyMemory<byte> entry)
    {
        if (AppendError != ErrorCode.None)
        {
            return new AppendEntryResult(AppendError, -1, -1, "The test says so.");
        }

        long offset;
        lock (_lock)
        {
            // The request's memory is only lent until the answer.
            byte[] batch = entry.ToArray();
            offset = EndOffset;
            System.Buffers.Binary.BinaryPrimitives.WriteInt64BigEndian(batch, offset);
            _log.Add((offset, batch));
            Check();
        }

        EndWaits();
        return new AppendEntryResult(ErrorCode.None, offset, -1);
    }

    private PartitionReadResult Read(PartitionRead request)
    {
        if (FetchError != ErrorCode.None)
        {
            return new PartitionReadResult(FetchError, 5, -1, -1, -1, []);
        }

        ReadOnlyMemory<byte>[] found = Select(request.Offset, request.MaxBytes, request.MinOneBatch);
        RecordBytes records = found.Sum(batch => batch.Length) >= request.MinBytes ? found : [];
        return new PartitionReadResult(ErrorCode.None, 5, EndOffset, EndOffset, 0, records);
    }

    private ReadOnlyMemory<byte>[] Select(long offset, int maxBytes, bool minOneBatch)
    {
        var found = new List<ReadOnlyMemory<byte>>();
        long bytes = 0;
        foreach ((_, byte[] batch) in _log.Where(entry => new RecordBatchHeader(entry.Batch).NextOffset > offset))
        {
            if (bytes + batch.Length > maxBytes && !(found.Count == 0 && minOneBatch))
            {
                break;
            }

            found.Add(batch);
            bytes += batch.Length;
        }

        return [.. found];
    }

    private void Check()
    {
        foreach ((Func<bool> Condition, TaskCompletionSource Met) waiter in _conditions.ToArray())
        {
            if (waiter.Condition())
            {
                _conditions.Remove(waiter);
                waiter.Met.SetResult();
            }
        }
    }
}
