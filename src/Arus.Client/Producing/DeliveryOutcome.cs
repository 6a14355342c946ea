namespace Arus.Client;

/// <summary>What became of a batch; one for all its records. Thread-safe.</summary>
/// <param name="partition">Where the batch goes.</param>
/// <param name="whole">The outcome of the batch that this one's is a part of; null for a whole batch.</param>
internal sealed class DeliveryOutcome(TopicPartition partition, DeliveryOutcome? whole = null)
{
    private readonly TaskCompletionSource completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long baseOffset = -1;
    private long logAppendTimeMs = -1;
    private ErrorCode error;
    private string? message;
    private bool mayHaveBeenAppended;
    private Exception? cause;
    private Parts? parts;

    public TopicPartition Partition { get; } = partition;

    public Task Completion => completion.Task;

    public void Succeed(long firstOffset, long appendTimeMs)
    {
        baseOffset = firstOffset;
        logAppendTimeMs = appendTimeMs;
        Complete();
    }

    public void Fail(ErrorCode code, string why, bool unknown, Exception? inner)
    {
        error = code;
        message = why;
        mayHaveBeenAppended = unknown;
        cause = inner;
        Complete();
    }

    /// <summary>The batch goes on as two. This outcome is complete when theirs are.</summary>
    /// <param name="firstCount">How many of its records are in the first.</param>
    public (DeliveryOutcome First, DeliveryOutcome Second) Split(int firstCount)
    {
        parts = new Parts(firstCount, new DeliveryOutcome(Partition, this), new DeliveryOutcome(Partition, this));
        return (parts.First, parts.Second);
    }

    public DeliveryResult Result(int index, long timestampMs)
    {
        if (parts is { } split)
        {
            return index < split.FirstCount ? split.First.Result(index, timestampMs) : split.Second.Result(index - split.FirstCount, timestampMs);
        }

        return error == ErrorCode.None
            ? new DeliveryResult(Partition, baseOffset < 0 ? -1 : baseOffset + index, logAppendTimeMs >= 0 ? logAppendTimeMs : timestampMs)
            : throw new ProduceException(error, Partition, message!, cause) { MayHaveBeenAppended = mayHaveBeenAppended };
    }

    private void Complete()
    {
        if (completion.TrySetResult() && whole?.parts is { } siblings && siblings.CompleteOne())
        {
            whole.Complete();
        }
    }

    private sealed class Parts(int firstCount, DeliveryOutcome first, DeliveryOutcome second)
    {
        private int open = 2;

        public int FirstCount => firstCount;

        public DeliveryOutcome First => first;

        public DeliveryOutcome Second => second;

        /// <summary>True for the last of them.</summary>
        public bool CompleteOne() => Interlocked.Decrement(ref open) == 0;
    }
}
