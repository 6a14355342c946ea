using Arus.Compression;
using Arus.Coordination.Replication;

namespace Arus.Simulation;

/// <summary>An idempotent producer: one batch on its way, repeated until there is an answer.</summary>
internal sealed class Producer(ClusterSimulation simulation, int number, bool all) : Client(simulation)
{
    private readonly RecordBatchBuilder _builder = new(1024);
    private readonly Dictionary<PartitionId, (long ProducerId, int Sequence)> _next = [];
    private long _incarnation;
    private long _record;

    protected override void Begin(PartitionId id)
    {
        if (!_next.ContainsKey(id))
            Reset(id);

        int records = World.Between(1, 3);
        byte[] batch = Build(_next[id].ProducerId, _next[id].Sequence, records);
        Send(id, batch, records);
    }

    private void Send(PartitionId id, byte[] batch, int records) =>
        AskLeader(
            id, (data, answer) => data.Produce(id, batch, all, TimeoutMs, answer), answer => Answered(id, batch, records, answer));

    private void Answered(PartitionId id, byte[] batch, int records, Answer? answer)
    {
        PartitionHistory history = Cluster.History(id);
        if (IsHopeless(id))
        {
            _next.Remove(id);
            End(all ? Operation.ProduceAll : Operation.ProduceOne);
            return;
        }

        switch (answer?.Error)
        {
            case ErrorCode.None:
                if (all && !history.IsVoid(answer.Epoch))
                    CheckAcknowledged(history, batch, answer.Offset);

                (long producerId, int sequence) = _next[id];
                _next[id] = (producerId, sequence + records);
                End(all ? Operation.ProduceAll : Operation.ProduceOne);
                break;
            case ErrorCode.OutOfOrderSequenceNumber when all && history.UncleanEpoch < 0:
                throw ViolationException.Safety(
                    1, $"{history.Name}: producer {number} is at sequence {_next[id].Sequence} and is told that it is out of order");
            case ErrorCode.OutOfOrderSequenceNumber:
                World.Statistics.Count(Rule.ProducerReset); // What one disk acknowledged is lost, or an unclean election took what all did.
                Reset(id);
                End(all ? Operation.ProduceAll : Operation.ProduceOne);
                break;
            case null or ErrorCode.NotLeaderOrFollower or ErrorCode.UnknownTopicOrPartition or ErrorCode.NotEnoughReplicas
                or ErrorCode.RequestTimedOut or ErrorCode.KafkaStorageError:
                World.After(World.Between(20, 200), () => Send(id, batch, records));
                break;
            default:
                throw ViolationException.Safety(9, $"{history.Name}: producer {number} is answered {answer.Error}");
        }
    }

    /// <summary>Invariants 1 and 9: success, also for a repeated batch, means that the high watermark has passed it.</summary>
    private static void CheckAcknowledged(PartitionHistory history, byte[] batch, long offset)
    {
        uint crc = new RecordBatchHeader(batch).Crc;
        StoredBatch? committed = history.CommittedAt(offset);
        if (offset >= history.DeletedUpTo && (committed?.Crc != crc || committed.Value.Offset != offset))
            throw ViolationException.Safety(9, $"{history.Name}: acknowledged at {offset}, where {committed} is committed");

        history.Acknowledged[crc] = offset;
        history.MakeVisible(offset + new RecordBatchHeader(batch).LastOffsetDelta + 1);
    }

    private void Reset(PartitionId id) => _next[id] = ((number * 1_000_000L) + ++_incarnation, 0);

    private byte[] Build(long producerId, int sequence, int records)
    {
        _builder.Reset();
        for (int i = 0; i < records; i++)
            _builder.Append(1_735_689_600_000 + World.NowMs, BitConverter.GetBytes(++_record), new byte[World.Random.Next(100)]);

        return _builder.Build(new RecordBatchOptions { ProducerId = producerId, ProducerEpoch = 0, BaseSequence = sequence }).ToArray();
    }
}
