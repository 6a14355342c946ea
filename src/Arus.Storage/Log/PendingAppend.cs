using System.Threading.Tasks.Sources;

namespace Arus.Storage;

/// <summary>One call of AppendAsync on its way to the disk.</summary>
internal sealed class PendingAppend(ReadOnlyMemory<byte>[] entries, int leaderEpoch, AppendOrigin origin) : IValueTaskSource<LogAppendResult[]>
{
    private ManualResetValueTaskSourceCore<LogAppendResult[]> _core = new() { RunContinuationsAsynchronously = true };

    public ReadOnlyMemory<byte>[] Entries { get; } = entries;

    public int LeaderEpoch { get; } = leaderEpoch;

    public AppendOrigin Origin { get; } = origin;

    public LogAppendResult[] Results { get; } = new LogAppendResult[entries.Length];

    public ValueTask<LogAppendResult[]> AsValueTask() => new(this, _core.Version);

    /// <summary>Answers the results as they stand.</summary>
    public void Complete() => _core.SetResult(Results);

    /// <summary>
    /// Whether a result was given by what the log knew at the time: void when that was wrong. What validation refused stays refused.
    /// </summary>
    public static bool IsJudgedByLog(ErrorCode result) => result is ErrorCode.None or ErrorCode.OutOfOrderSequenceNumber or ErrorCode.InvalidProducerEpoch;

    /// <summary>Answers the error for every entry that validation did not refuse.</summary>
    public void Fail(ErrorCode error, string message)
    {
        for (int i = 0; i < Results.Length; i++)
        {
            if (IsJudgedByLog(Results[i].Error))
            {
                Results[i] = LogAppendResult.Refused(error, message);
            }
        }

        Complete();
    }

    LogAppendResult[] IValueTaskSource<LogAppendResult[]>.GetResult(short token) => _core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<LogAppendResult[]>.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource<LogAppendResult[]>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}

/// <summary>A batch that has its offset and lies in the tail cache, to be written.</summary>
internal readonly record struct PendingBatch(
    TailChunk Chunk, int Start, int Length, long BaseOffset, long NextOffset, long MaxTimestamp, long AppendMs, Turnover? Turnover)
{
    public ReadOnlyMemory<byte> Bytes => Chunk.Bytes.AsMemory(Start, Length);
}

/// <summary>What happens before a batch is written, decided when it was taken in: a new segment or a checkpoint.</summary>
/// <param name="NewSegment">Whether the batch begins a new segment.</param>
/// <param name="Producers">The producers as they are before the batch (<see cref="ProducerSnapshot"/>).</param>
internal sealed record Turnover(bool NewSegment, byte[] Producers);
