using Arus.Grains;

namespace Arus.Client;

/// <content>The positions of the application. Each is the offset of the next record, as in Kafka.</content>
internal sealed partial class PartitionFetcher
{
    private long _position = startOffset;
    private long _delivered = startOffset;
    private long _processed = startOffset;
    private long _committed = -1;
    private int _rewinds;
    private int _leaderEpoch = -1;

    /// <summary>The next offset to hand out; negative while it is not determined.</summary>
    public long Position => Read(static f => f._position);

    /// <summary>The next offset after what the application was given.</summary>
    public long Delivered => Read(static f => f._delivered);

    /// <summary>The next offset after what the application has finished.</summary>
    public long Processed => Read(static f => f._processed);

    /// <summary>How often a reset went back, to offsets that were read before: the log was cut, or its topic created anew.</summary>
    public int Rewinds => Read(static f => f._rewinds);

    /// <summary>What the group has committed; -1 for unknown.</summary>
    public long Committed => Read(static f => f._committed);

    public long? Lag =>
        Read(static f => f._end < 0 || f._delivered < 0 ? (long?)null : Math.Max(0, f._end - f._delivered));

    /// <summary>The application has records that it has not finished.</summary>
    public bool HasUnprocessed => Read(static f => f._delivered > f._processed);

    /// <summary>
    /// The application asks for a record that was handed out at a version, and so is done with the one before. False when the record is
    /// not to be delivered any more.
    /// </summary>
    public bool TryDeliver(long offset, int atVersion)
    {
        lock (_gate)
        {
            _processed = _delivered;
            if (atVersion != _version || _isRevoked)
                return false;

            _delivered = offset + 1;
            return true;
        }
    }

    /// <summary>The application has been given everything before <paramref name="offset"/>.</summary>
    public void MarkDelivered(long offset, int atVersion)
    {
        bool mayFetch;
        lock (_gate)
        {
            _delivered = atVersion == _version ? offset : _delivered;
            mayFetch = _isResetPending && IsDrained;
        }

        if (mayFetch)
            Changed?.Invoke();
    }

    /// <summary>The application is done with what it was given.</summary>
    public void MarkProcessed()
    {
        lock (_gate)
            _processed = _delivered;
    }

    /// <summary>The application is done with everything before <paramref name="offset"/>, unless the log has been reset since.</summary>
    public void AdvanceProcessed(long offset, int atRewinds)
    {
        lock (_gate)
            _processed = atRewinds == _rewinds ? Math.Max(_processed, offset) : _processed;
    }

    /// <summary>The offset to commit; null if it is committed already, or there is none.</summary>
    /// <param name="unfinished">Including what the application was given and has not finished.</param>
    public OffsetToCommit? NextCommit(bool unfinished)
    {
        lock (_gate)
        {
            long offset = unfinished ? _delivered : _processed;
            return offset >= 0 && offset != _committed
                ? new OffsetToCommit(new CommittedOffset(Partition, offset, _leaderEpoch, ""), this, _version)
                : null;
        }
    }

    /// <summary>
    /// Notes that the group has committed this offset. What is committed is processed, so that no later auto-commit goes back behind it,
    /// unless there was a seek or a reset since: the offset is then of an earlier position.
    /// </summary>
    /// <param name="atVersion">The version when the offset was committed; -1 when that was before.</param>
    public void MarkCommitted(long offset, int atVersion = -1)
    {
        lock (_gate)
        {
            _committed = offset;
            _processed = atVersion == _version ? Math.Max(_processed, Math.Min(offset, _delivered)) : _processed;
        }
    }
}
