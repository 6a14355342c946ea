namespace Arus.Client;

/// <summary>A producer's sequence numbers in one partition, by which the leader recognises a repeated batch. Not thread-safe.</summary>
/// <remarks>
/// When a batch fails for good its number is never written, and the leader would refuse what follows: the sequence is broken. It continues
/// in the next epoch of this partition, from 0 (KIP-360); the leader keeps producer state by partition, so that partitions need not agree
/// on the epoch. A batch that may be on the log keeps its number, since another one could make it appear twice.
/// </remarks>
internal sealed class PartitionSequence
{
    /// <summary>A leader remembers the last five batches of a producer; more under way could not be told from new ones.</summary>
    public const int MaxBatches = 5;

    private const int Nowhere = int.MaxValue;

    private long _producerId = RecordBatchHeader.NoProducerId;
    private short _epoch;
    private int _next;
    private int _brokenFrom = Nowhere;
    private int _missingFrom = Nowhere;

    /// <summary>
    /// The leader has accepted a batch of this producer id. Before, it takes any number for the first one (KIP-360): were the first batch
    /// of a call refused, it would accept the second, and the first could only come after it.
    /// </summary>
    private bool _isKnown;

    /// <summary>The next batch without a number begins a new epoch.</summary>
    public bool IsBroken { get; private set; }

    public bool NeedsProducerId => _producerId < 0 || _epoch < 0;

    /// <summary>This producer id has no epoch left.</summary>
    public bool IsExhausted => _epoch < 0;

    /// <summary>In the answer being settled, a batch is certainly not on the log; so none after it is, under these numbers.</summary>
    public bool IsMissing => _missingFrom != Nowhere;

    public void SetProducerId(long producerId) => (_producerId, _epoch, _isKnown) = (producerId, 0, false);

    /// <summary>Begins the sequence anew, unless it is this producer's already: each transaction has an epoch of its own.</summary>
    public void SetProducer(long producerId, short epoch)
    {
        if ((producerId, epoch) != (_producerId, _epoch))
            (_producerId, _epoch, _next, _isKnown, IsBroken) = (producerId, epoch, 0, false, false);
    }

    /// <summary>The leader has accepted a batch under its number.</summary>
    public void Accept() => _isKnown = true;

    /// <summary>The sequence cannot go on: a batch with a number has failed.</summary>
    public void Break() => IsBroken = true;

    /// <summary>Begins a new epoch if the sequence is broken, unless what was sent before the break has to be settled first.</summary>
    /// <param name="pending">In order.</param>
    /// <param name="count">How many of them go with the next call, under the numbers that they have.</param>
    /// <returns>False when those without a number have to wait.</returns>
    public bool TryGoOn(List<ProducerBatch> pending, out int count)
    {
        count = 0;
        if (!IsBroken)
            return true;

        int numbered = pending.FindIndex(b => !b.HasSequence);
        if (numbered != 0 && pending.Count > 0)
        {
            count = numbered < 0 ? CountForCall(pending) : Math.Min(numbered, CountForCall(pending));
            return false;
        }

        _epoch++;
        _next = 0;
        IsBroken = false;
        return true;
    }

    /// <summary>Gives a number to each batch that has none.</summary>
    /// <returns>How many of them go with the next call.</returns>
    public int Assign(List<ProducerBatch> pending, CompressionType compression)
    {
        foreach (ProducerBatch batch in pending)
        {
            if (!batch.HasSequence)
            {
                batch.SetSequence(compression, _producerId, _epoch, _next);
                _next = ProducerSequence.Add(_next, batch.Count);
            }
        }

        return CountForCall(pending);
    }

    /// <summary>Begins to settle an answer.</summary>
    public void BeginAnswer() => _brokenFrom = _missingFrom = Nowhere;

    /// <summary>A batch of this answer breaks the sequence.</summary>
    /// <param name="before">How many batches before it are to be sent again.</param>
    /// <param name="isMissing">False when the one that breaks it may be on the log, which says nothing of those after it.</param>
    public void BreakAt(int before, bool isMissing)
    {
        _brokenFrom = Math.Min(_brokenFrom, before);
        _missingFrom = isMissing ? Math.Min(_missingFrom, before) : _missingFrom;
    }

    /// <summary>
    /// Ends an answer. Of the batches that are to be sent again, those that are certainly not on the log lose their numbers. The others
    /// keep theirs, and so does what is before them: the leader knows no old number once it has seen the next epoch.
    /// </summary>
    public void EndAnswer(List<ProducerBatch> again)
    {
        if (_brokenFrom == Nowhere)
            return;

        IsBroken = true;
        int known = again.FindLastIndex(b => b.MayHaveBeenAppended) + 1;
        for (int i = Math.Max(_brokenFrom, Math.Min(_missingFrom, known)); i < again.Count; i++)
            again[i].ForgetSequence();
    }

    /// <summary>
    /// Batches that were split can make more than the leader remembers. So what was sent already is settled first, without others
    /// behind it that would make the leader forget it.
    /// </summary>
    private int CountForCall(List<ProducerBatch> pending)
    {
        int unsent = pending.FindIndex(b => b.State == BatchState.Unsent);
        return Math.Min(unsent > 0 ? unsent : pending.Count, _isKnown ? MaxBatches : 1);
    }
}
