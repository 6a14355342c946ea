using System.Diagnostics;
using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>The id and epoch of a transactional producer, and what tells a request that it repeats from one of a fenced producer.</summary>
internal sealed class ProducerIdentity
{
    public const long NoId = -1;
    public const short NoEpoch = -1;

    /// <summary>The last epoch that a producer is given; the one after it is for ends of transactions alone.</summary>
    public const short LastUsableEpoch = short.MaxValue - 1;

    /// <summary>How many epochs before the last a new id is fetched: more than two inputs use up.</summary>
    private const int ReservedEpochs = 8;

    private short _lastEpoch = NoEpoch;
    private long _previousId = NoId;

    public long Id { get; private set; } = NoId;

    public short Epoch { get; private set; } = NoEpoch;

    /// <summary>The id after the end of this transaction, with which the epochs of this id are used up.</summary>
    public long NextId { get; private set; } = NoId;

    /// <summary>What the producer goes on with after the end of the transaction.</summary>
    public (long Id, short Epoch) Next => NextId == NoId ? (Id, Epoch) : (NextId, (short)0);

    /// <summary>Whether the next raise needs a new id.</summary>
    public bool NeedsNewId => Id == NoId || Epoch >= LastUsableEpoch;

    public bool MayNeedNewIdSoon => Id == NoId || Epoch >= LastUsableEpoch - ReservedEpochs;

    public static ProducerIdentity Restore(TransactionMetadata stored) => new()
    {
        Id = stored.ProducerId,
        Epoch = stored.ProducerEpoch,
        NextId = stored.NextProducerId,
        _lastEpoch = stored.LastProducerEpoch,
        _previousId = stored.PreviousProducerId,
    };

    public void Store(TransactionMetadata metadata)
    {
        metadata.ProducerId = Id;
        metadata.ProducerEpoch = Epoch;
        metadata.LastProducerEpoch = _lastEpoch;
        metadata.PreviousProducerId = _previousId;
        metadata.NextProducerId = NextId;
    }

    public bool Is(long id, short epoch) => (id, epoch) == (Id, Epoch);

    /// <summary>Whether no producer that has this epoch may go on; nobody is given the one that is reserved.</summary>
    public bool IsFenced(short epoch) => epoch != Epoch || epoch > LastUsableEpoch;

    /// <summary>Whether a request to initialize is a repetition of the one that gave the present epoch (KIP-360).</summary>
    public bool IsRepeatedInitialization(long id, short epoch) =>
        _lastEpoch != NoEpoch && epoch == _lastEpoch && (id == Id || (id == _previousId && epoch == LastUsableEpoch && Epoch == 0));

    /// <summary>Whether a request to end a transaction is a repetition of the one that raised the epoch (KIP-890).</summary>
    public bool IsRepeatedEnd(long id, short epoch) => _lastEpoch != NoEpoch && epoch == _lastEpoch
        && ((id == Id && Epoch == epoch + 1) || (id == _previousId && epoch == LastUsableEpoch && Epoch == 0));

    /// <summary>Gives the next epoch, in a new id if those of this one are used up.</summary>
    /// <param name="newId">An id that nobody has; needed where <see cref="NeedsNewId"/>.</param>
    /// <param name="isContinued">The producer that has the present epoch asks, and may repeat the request.</param>
    public void Raise(long newId, bool isContinued)
    {
        _lastEpoch = isContinued ? Epoch : NoEpoch;
        if (NeedsNewId)
        {
            Debug.Assert(newId >= 0 && newId != Id, "A producer id is given once.");
            (_previousId, Id, Epoch) = (Id, newId, 0);
        }
        else
        {
            Epoch++;
        }
    }

    /// <summary>Raises the epoch so that no producer has it.</summary>
    public void Fence()
    {
        Debug.Assert(Epoch <= LastUsableEpoch, "No transaction is open in the epoch that is reserved for fencing.");
        Epoch++;
        _lastEpoch = NoEpoch;
    }

    /// <summary>Raises the epoch with the end of a transaction; the producer goes on with <see cref="Next"/> (KIP-890).</summary>
    /// <param name="newId">As in <see cref="Raise"/>.</param>
    public void RaiseWithEnd(long newId)
    {
        Debug.Assert(Epoch <= LastUsableEpoch, "No transaction is open in the epoch that is reserved for fencing.");
        Debug.Assert(!NeedsNewId || newId >= 0, "A new id is needed.");
        NextId = NeedsNewId ? newId : NoId;
        _lastEpoch = Epoch;
        Epoch++;
    }

    /// <summary>Every participant of the transaction that the present epoch ends has its end.</summary>
    public void Complete()
    {
        if (NextId != NoId)
            (_previousId, Id, Epoch, NextId) = (Id, NextId, 0, NoId);
    }
}
