namespace Arus.Storage.Rows;

/// <summary>What the roles of one row log have in common.</summary>
internal sealed class RowLogContext(TopicPartition partition, RowLogOptions options, TopicConfig config)
    : LogState(partition, config, options.Time)
{
    private int _closed;

    public RowLogOptions Options { get; } = options;

    public override bool IsClosing => Volatile.Read(ref _closed) != 0;

    /// <summary>Unix milliseconds.</summary>
    public long NowMs => Options.Time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>From here on nothing is taken in; false when the log was closed before.</summary>
    public bool TryClose() => Interlocked.Exchange(ref _closed, 1) == 0;

    public void Fail(Exception error) => TryFail(error);

    public string FencedBy(int newer, int epoch) =>
        newer == RowLeadership.DeletedEpoch
            ? $"The log of {Partition} was deleted."
            : $"Leader epoch {epoch} of {Partition} is over; epoch {newer} leads.";
}
