using Arus.Grains;

namespace Arus.Testing;

/// <content>The calls of the grain.</content>
public sealed partial class InMemoryPartition : IPartitionGrain
{
    /// <exception cref="InvalidOperationException">
    /// Another append without a transactional id is under way: a caller has one at a time.
    /// </exception>
    public async Task<PartitionAppendResult> AppendAsync(PartitionAppend request)
    {
        bool isLost = LoseNextCall;
        LoseNextCall = false;
        int atOnce = 0;
        Record(() =>
        {
            _appends.Add(request with { Entries = [.. request.Entries.Select(entry => new ReadOnlyMemory<byte>(entry.ToArray()))] });
            atOnce = isLost || request.Transaction is not null ? 1 : ++_appendsAtOnce;
            MostAppendsAtOnce = Math.Max(MostAppendsAtOnce, atOnce);
        });
        if (isLost)
            await new TaskCompletionSource().Task;

        try
        {
            Throw(atOnce == 1 ? null : new InvalidOperationException("Two appends to one partition were under way at once."));
            await Task.Yield();
            await (_hold?.Task ?? Task.CompletedTask);
            Throw(Failure ?? FailBefore?.Invoke(request));
            PartitionAppendResult result = await AppendAsync(await _opening, request);
            Throw(FailAfter?.Invoke(request));
            return result;
        }
        finally
        {
            Record(() => _appendsAtOnce -= request.Transaction is null ? 1 : 0);
        }
    }

    public Task<ErrorCode> WriteMarkerAsync(TransactionMarker marker) => AskAsync(leader => leader.WriteMarkerAsync(marker));

    public async Task<PartitionReadResult> FetchAsync(PartitionRead request)
    {
        await Task.Yield();
        PartitionReadResult? result = null;
        try
        {
            Throw(Failure ?? FailFetch?.Invoke(request));
            ErrorCode refusal = FetchError != ErrorCode.None ? FetchError : RefuseFetch?.Invoke(request) ?? ErrorCode.None;
            LeaderLog leader = await _opening;
            result = refusal == ErrorCode.None
                ? await leader.FetchAsync(request, CancellationToken.None)
                : LeaderLog.RejectRead(refusal, leader.LeaderEpoch);
            return result = result with { Records = Damage(result.Records) };
        }
        finally
        {
            Record(() =>
            {
                _fetches.Add(request);
                _fetchedBytes.AddRange(result is null ? [] : [result.Records.SizeInBytes]);
            });
        }
    }

    public async Task<PartitionOffsets> WaitForOffsetAsync(PartitionWait request)
    {
        LeaderLog leader = await _opening;
        Task<PartitionOffsets> waiting = Failure is null && FetchError == ErrorCode.None
            ? leader.WaitForOffsetAsync(request, CancellationToken.None)
            : Task.FromResult(LeaderLog.RejectWait(FetchError, leader.LeaderEpoch));

        // It is counted once the log has it among those that wait, so that a test which sees it can end it.
        bool waits = !waiting.IsCompleted;
        Record(() =>
        {
            _waits.Add(request);
            RunningWaits += waits ? 1 : 0;
        });
        PartitionOffsets offsets = await waiting;
        await (_holdWaits?.Task ?? Task.CompletedTask);
        Record(() => RunningWaits -= waits ? 1 : 0);
        Throw(Failure);
        return FetchError == ErrorCode.None ? offsets : LeaderLog.RejectWait(FetchError, leader.LeaderEpoch);
    }

    public Task<ListOffsetResponse> ListOffsetAsync(ListOffsetRequest request) => AskAsync(leader => leader.ListOffsetAsync(request));

    public Task<EpochEndResponse> GetEpochEndAsync(int currentLeaderEpoch, int leaderEpoch, Guid topicId) =>
        AskAsync(leader => Task.FromResult(leader.GetEpochEnd(currentLeaderEpoch, leaderEpoch)));

    public Task<DeleteRecordsResponse> DeleteRecordsAsync(long beforeOffset, Guid topicId) =>
        AskAsync(leader => leader.DeleteRecordsAsync(beforeOffset));

    public Task<PartitionDescription> DescribeAsync() => AskAsync(leader => Task.FromResult(leader.Describe(brokerId: 1)));

    public Task<PartitionProducers> DescribeProducersAsync(Guid topicId) => AskAsync(leader => leader.DescribeProducersAsync());

    public Task ReconfigureAsync() => Task.CompletedTask;

    public Task DeleteAsync(Guid topicId) => Log.DeleteAsync().AsTask();

    private static void Throw(Exception? failure)
    {
        if (failure is not null)
            throw failure;
    }

    private async Task<T> AskAsync<T>(Func<LeaderLog, Task<T>> question)
    {
        Throw(Failure);
        return await question(await _opening);
    }

    /// <summary>Hands what is not refused to the leader.</summary>
    private async Task<PartitionAppendResult> AppendAsync(LeaderLog leader, PartitionAppend request)
    {
        ErrorCode[] refusals = RefusalsOf(request.Entries);
        ReadOnlyMemory<byte>[] entries = [.. request.Entries.Where((_, index) => refusals[index] == ErrorCode.None)];
        PartitionAppendResult appended = await leader.AppendAsync(request with { Entries = entries });
        lock (_gate)
            _accepted.UnionWith(entries.Where((_, index) => appended.Results[index].Error == ErrorCode.None).Select(SequenceOf));

        var results = new Queue<AppendEntryResult>(appended.Results);
        return appended with
        {
            Results = Array.ConvertAll(refusals, refusal => refusal == ErrorCode.None
                ? results.Dequeue()
                : new AppendEntryResult(refusal, -1, -1, "The test says so.")),
        };
    }

    private ErrorCode[] RefusalsOf(RecordBytes entries)
    {
        var refusals = new ErrorCode[entries.Count];
        for (int i = 0; i < refusals.Length; i++)
        {
            ErrorCode refusal = Refuse?.Invoke() ?? ErrorCode.None;
            if (refusal is not (ErrorCode.None or ErrorCode.InvalidRecord))
            {
                Array.Fill(refusals, refusal);
                return refusals;
            }

            lock (_gate)
            {
                bool isAccepted = SequenceOf(entries[i]) is { Producer: >= 0 } sequence && _accepted.Contains(sequence);
                refusals[i] = isAccepted ? ErrorCode.None : refusal;
            }
        }

        return refusals;
    }

    private static (long Producer, short Epoch, int Sequence) SequenceOf(ReadOnlyMemory<byte> entry)
    {
        var header = new RecordBatchHeader(entry.Span);
        return (header.ProducerId, header.ProducerEpoch, header.BaseSequence);
    }

    private RecordBytes Damage(RecordBytes records)
    {
        lock (_gate)
        {
            if (_damages.Count == 0)
                return records;

            var batches = new List<ReadOnlyMemory<byte>>();
            for (byte[] rest = Join(records); rest.Length > 0; rest = rest[batches[^1].Length..])
            {
                var header = new RecordBatchHeader(rest);
                byte[] batch = rest[..header.SizeInBytes];
                _damages.GetValueOrDefault(header.BaseOffset)?.Invoke(batch);
                batches.Add(batch);
            }

            return batches.ToArray();
        }
    }
}
