namespace Arus.Client;

/// <summary>What became of a batch; one for all its records. Thread-safe.</summary>
/// <param name="partition">Where the batch goes.</param>
/// <param name="whole">The outcome of the batch that this one's is a part of; null for a whole batch.</param>
internal sealed class DeliveryOutcome(TopicPartition partition, DeliveryOutcome? whole = null)
{
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _baseOffset = -1;
    private long _logAppendTimeMs = -1;
    private ErrorCode _error;
    private string? _message;
    private bool _mayHaveBeenAppended;
    private Exception? _cause;
    private Parts? _parts;

    public TopicPartition Partition { get; } = partition;

    public Task Completion => _completion.Task;

    public void Succeed(long firstOffset, long appendTimeMs)
    {
        _baseOffset = firstOffset;
        _logAppendTimeMs = appendTimeMs;
        Complete();
    }

    public void Fail(ErrorCode code, string why, bool unknown, Exception? inner)
    {
        _error = code;
        _message = why;
        _mayHaveBeenAppended = unknown;
        _cause = inner;
        Complete();
    }

    /// <summary>The batch goes on as two. This outcome is complete when theirs are.</summary>
    /// <param name="firstCount">How many of its records are in the first.</param>
    public (DeliveryOutcome First, DeliveryOutcome Second) Split(int firstCount)
    {
        _parts = new Parts(firstCount, new DeliveryOutcome(Partition, this), new DeliveryOutcome(Partition, this));
        return (_parts.First, _parts.Second);
    }

    public DeliveryResult Result(int index, long timestampMs)
    {
        if (_parts is { } split)
        {
            return index < split.FirstCount ? split.First.Result(index, timestampMs)
                : split.Second.Result(index - split.FirstCount, timestampMs);
        }

        return _error == ErrorCode.None
            ? new DeliveryResult(
                Partition, _baseOffset < 0 ? -1 : _baseOffset + index, _logAppendTimeMs >= 0 ? _logAppendTimeMs : timestampMs)
            : throw new ProduceException(_error, Partition, _message!, _cause) { MayHaveBeenAppended = _mayHaveBeenAppended };
    }

    private void Complete()
    {
        if (_completion.TrySetResult() && whole?._parts is { } siblings && siblings.CompleteOne())
            whole.Complete();
    }

    private sealed class Parts(int firstCount, DeliveryOutcome first, DeliveryOutcome second)
    {
        private int _open = 2;

        public int FirstCount => firstCount;

        public DeliveryOutcome First => first;

        public DeliveryOutcome Second => second;

        /// <summary>True for the last of them.</summary>
        public bool CompleteOne() => Interlocked.Decrement(ref _open) == 0;
    }
}
