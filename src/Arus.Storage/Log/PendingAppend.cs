using SnapshotFormat = Arus.Protocol.ProducerSnapshot;

namespace Arus.Storage;

/// <summary>One call of AppendAsync on its way to the disk.</summary>
/// <param name="inline">Whether the caller goes on where the call is completed, not on the pool.</param>
internal sealed class PendingAppend(ReadOnlyMemory<byte>[] entries, int leaderEpoch, AppendOrigin origin, bool inline = false)
    : TaskCompletionSource<LogAppendResult[]>(inline ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously)
{
    [ThreadStatic]
    private static BatchValidator? s_validator;

    private bool _isChanged;

    /// <summary>What is appended: what the caller passed, but for the entries that validation has corrected.</summary>
    public ReadOnlyMemory<byte>[] Entries { get; private set; } = entries;

    public int LeaderEpoch { get; } = leaderEpoch;

    public AppendOrigin Origin { get; } = origin;

    public long Bytes => Entries.Sum(entry => (long)entry.Length);

    /// <summary>Of a client that begins a transaction; null otherwise.</summary>
    public VerificationGuard? Guard { get; init; }

    /// <summary>Of the transaction that a coordinator's marker ends.</summary>
    public short TransactionVersion { get; init; }

    public LogAppendResult[] Results { get; } = new LogAppendResult[entries.Length];

    /// <summary>
    /// Validates every entry and fills in what is refused. This is most of an append's work and does not look at the log, so it is
    /// done before any lock is taken.
    /// </summary>
    /// <returns>Whether an entry is left to append.</returns>
    public bool Validate(TopicConfig config, long nowMs)
    {
        BatchValidator validator = s_validator ??= new BatchValidator();
        bool any = false;
        for (int i = 0; i < Entries.Length; i++)
        {
            ReadOnlyMemory<byte> entry = Entries[i];
            Results[i] = validator.Validate(ref entry, config, Origin, nowMs);
            if (!entry.Equals(Entries[i]))
                Replace(i, entry);

            any |= Results[i].Error == ErrorCode.None;
        }

        return any;
    }

    /// <summary>The caller's array is the caller's.</summary>
    private void Replace(int index, ReadOnlyMemory<byte> entry)
    {
        Entries = _isChanged ? Entries : [.. Entries];
        _isChanged = true;
        Entries[index] = entry;
    }

    /// <summary>Completes the call with the results as they stand.</summary>
    public void Complete() => SetResult(Results);

    /// <summary>The same result for every entry, for a call that has not returned yet.</summary>
    public ValueTask<LogAppendResult[]> RefuseAll(LogAppendResult refusal)
    {
        Array.Fill(Results, refusal);
        return new ValueTask<LogAppendResult[]>(Results);
    }

    /// <summary>The entries behind one that was refused are refused for the same reason.</summary>
    public void RefuseFrom(int index) => Array.Fill(Results, Results[index], index, Results.Length - index);

    /// <summary>
    /// Whether a result depends on what the log knew at the time, so that it is void when the log was wrong. A validation error is final.
    /// </summary>
    public static bool DependsOnLog(ErrorCode result) =>
        result is ErrorCode.None or ErrorCode.OutOfOrderSequenceNumber or ErrorCode.InvalidProducerEpoch or ErrorCode.InvalidTxnState
            or ErrorCode.TransactionCoordinatorFenced;

    /// <summary>Completes the call with the error for every entry that validation did not refuse.</summary>
    public void Fail(ErrorCode error, string message)
    {
        for (int i = 0; i < Results.Length; i++)
        {
            if (DependsOnLog(Results[i].Error))
                Results[i] = LogAppendResult.Refused(error, message);
        }

        Complete();
    }
}

/// <summary>A batch that has its offsets and lies in the tail cache, to be written.</summary>
/// <param name="Aborted">The transaction that it aborts.</param>
internal readonly record struct PendingBatch(
    TailChunk Chunk, int Start, int Length, long BaseOffset, long NextOffset, long MaxTimestamp, long AppendMs, SegmentRoll? Roll,
    LogAbortedTransaction? Aborted = null)
{
    public ReadOnlyMemory<byte> Bytes => Chunk.Bytes.AsMemory(Start, Length);
}

/// <summary>What the writer does before a batch, as the appender decided: it rolls the segment, or only takes a checkpoint.</summary>
/// <param name="NewSegment">Whether the batch begins a new segment.</param>
/// <param name="Producers">The producers before the batch.</param>
internal sealed record SegmentRoll(bool NewSegment, SnapshotFormat Producers);
