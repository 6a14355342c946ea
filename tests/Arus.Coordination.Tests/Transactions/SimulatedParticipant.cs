using Arus.Coordination.Tests.Groups;

namespace Arus.Coordination.Tests.Transactions;

/// <summary>What a participant or a coordinator answers to a call.</summary>
internal sealed record SimulatedAnswer(ErrorCode Error, long ProducerId = -1, short ProducerEpoch = -1);

/// <summary>A record of a transaction, as its producer numbers it.</summary>
internal readonly record struct SimulatedRecord(int Transaction, int Sequence);

/// <summary>The leader of a partition, or a group, as far as transactions go; it never loses what it has acknowledged.</summary>
internal sealed class SimulatedParticipant(TransactionSimulation simulation, TransactionParticipant name)
{
    /// <summary>Longer than the producer waits for its append, which goes on without it.</summary>
    private const int VerificationMs = 3_000;

    private readonly Dictionary<long, ProducerState> _producers = [];
    private readonly HashSet<SimulatedRecord> _appended = [];

    public TransactionParticipant Name => name;

    public Dictionary<SimulatedRecord, bool> Ended { get; } = [];

    public bool HasOpenTransaction => _producers.Values.Any(producer => producer.Open.Count > 0);

    private SimulatedWorld World => simulation.World;

    /// <summary>Appends a record; the first of a transaction is verified with the coordinator (KIP-890).</summary>
    public async Task<SimulatedAnswer?> AppendAsync(long producerId, short epoch, SimulatedRecord record, short version)
    {
        ProducerState producer = Of(producerId);
        if (_appended.Contains(record))
            return new SimulatedAnswer(ErrorCode.None);

        if (IsFenced(producer, epoch))
            return new SimulatedAnswer(ErrorCode.InvalidProducerEpoch);

        if (producer.Open.Count == 0 || producer.Epoch != epoch)
        {
            int markers = producer.Markers;
            SimulatedAnswer? verified = await simulation.CallAsync(
                () => version >= 2 ? simulation.AddAsync(producerId, epoch, name) : simulation.VerifyAsync(producerId, epoch, name),
                mayBeLate: true, mayBeDoubled: true, VerificationMs);
            if (verified is not { Error: ErrorCode.None })
                return verified ?? new SimulatedAnswer(ErrorCode.NotCoordinator);

            // With version 2 a marker that ends the transaction raises the epoch, which is looked at below.
            if (version < 2 && markers != producer.Markers && simulation.Fault != TransactionFault.NoVerificationGuard)
                return new SimulatedAnswer(ErrorCode.InvalidTxnState);

            if (_appended.Contains(record))
                return new SimulatedAnswer(ErrorCode.None);

            if (IsFenced(producer, epoch))
                return new SimulatedAnswer(ErrorCode.InvalidProducerEpoch);
        }

        World.Require(
            producer.Open.All(open => open.Transaction == record.Transaction && producer.Epoch == epoch),
            () => $"{name} has records of two transactions, {producer.Open[0].Transaction} and {record.Transaction}, in one");
        producer.Epoch = epoch;
        producer.Open.Add(record);
        _appended.Add(record);
        World.Note($"{name} has {record} of {producerId}:{epoch}");
        return new SimulatedAnswer(ErrorCode.None);
    }

    public async Task<SimulatedAnswer?> WriteMarkerAsync(MarkerToSend marker)
    {
        if (simulation.IsInTrouble && World.Chance(0.1))
            return new SimulatedAnswer(ErrorCode.NotLeaderOrFollower);

        ProducerState producer = Of(marker.ProducerId);
        if (marker.CoordinatorEpoch < producer.CoordinatorEpoch && simulation.Fault != TransactionFault.LateMarkerTaken)
            return new SimulatedAnswer(ErrorCode.TransactionCoordinatorFenced);

        // From version 2 on every end of a transaction has an epoch of its own.
        bool isOfAnEarlierOne = marker.TransactionVersion >= 2 && producer.Open.Count > 0 && marker.ProducerEpoch == producer.Epoch;
        if (marker.ProducerEpoch < producer.Epoch || isOfAnEarlierOne)
            return new SimulatedAnswer(ErrorCode.InvalidProducerEpoch);

        World.Note($"{name} has {marker}");
        producer.Epoch = marker.ProducerEpoch;
        producer.CoordinatorEpoch = marker.CoordinatorEpoch;
        producer.Markers++;
        foreach (SimulatedRecord record in producer.Open)
        {
            Ended.Add(record, marker.IsCommit);
            simulation.NoteEnd(record.Transaction, marker.IsCommit, name);
        }

        producer.Open.Clear();
        await World.Delay(World.Random.Next(1, 10));
        return new SimulatedAnswer(ErrorCode.None);
    }

    private bool IsFenced(ProducerState producer, short epoch) =>
        epoch < producer.Epoch && simulation.Fault != TransactionFault.EpochNotFenced;

    private ProducerState Of(long producerId)
    {
        if (!_producers.TryGetValue(producerId, out ProducerState? producer))
            _producers[producerId] = producer = new ProducerState();

        return producer;
    }

    private sealed class ProducerState
    {
        public short Epoch { get; set; } = -1;

        public int CoordinatorEpoch { get; set; } = -1;

        public int Markers { get; set; }

        public List<SimulatedRecord> Open { get; } = [];
    }
}
