namespace Arus.Client;

/// <summary>What became of a batch; one for all its records. Thread-safe.</summary>
/// <param name="partition">Where the batch goes.</param>
/// <param name="whole">The outcome of the batch that this one's is a part of; null for a whole batch.</param>
internal sealed class DeliveryOutcome(TopicPartition partition, DeliveryOutcome? whole = null)
{
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private (long BaseOffset, long LogAppendTimeMs) _place;
    private (ErrorCode Code, string Message, bool MayHaveBeenAppended, Exception? Cause)? _failure;
    private Parts? _parts;

    public TopicPartition Partition { get; } = partition;

    public Task Completion => _completion.Task;

    public void Succeed(long firstOffset, long appendTimeMs)
    {
        _place = (firstOffset, appendTimeMs);
        Complete();
    }

    public void Fail(ErrorCode code, string why, bool unknown, Exception? inner)
    {
        _failure = (code, why, unknown, inner);
        Complete();
    }

    /// <summary>The batch was split into two. This outcome is complete when theirs are.</summary>
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

        if (_failure is { } why)
            throw new ProduceException(why.Code, Partition, why.Message, why.Cause) { MayHaveBeenAppended = why.MayHaveBeenAppended };

        (long first, long appendTimeMs) = _place;
        return new DeliveryResult(Partition, first < 0 ? -1 : first + index, appendTimeMs >= 0 ? appendTimeMs : timestampMs);
    }

    private void Complete()
    {
        if (_completion.TrySetResult() && whole?._parts is { } siblings && siblings.CompleteOne())
            whole.Complete();
    }

    private sealed record Parts(int FirstCount, DeliveryOutcome First, DeliveryOutcome Second)
    {
        private int _open = 2;

        /// <summary>True for the last of them.</summary>
        public bool CompleteOne() => Interlocked.Decrement(ref _open) == 0;
    }
}
