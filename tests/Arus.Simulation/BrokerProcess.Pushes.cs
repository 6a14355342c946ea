using Arus.Coordination.Replication;
using Arus.Protocol;
using Arus.Storage;

namespace Arus.Simulation;

/// <summary>How records travel from leader to follower.</summary>
internal sealed partial class BrokerProcess
{
    public LeaseTable Leases => _machine.Leases;

    private void SendPush(ReplicationEffect.SendPush send)
    {
        if (_world.Chance(0.05))
            Post(_world.Between(1, 20), () => ReadAndSend(send));
        else
            ReadAndSend(send);
    }

    /// <summary>Reads what there is room for. What was read counts only while no later leader may have had the log cut.</summary>
    private void ReadAndSend(ReplicationEffect.SendPush send)
    {
        ReplicaPushRequest request = send.Request;
        var records = new ReadOnlyMemory<byte>[request.Partitions.Length][];
        int room = _cluster.Plan.PushBytes;
        for (int i = 0; i < request.Partitions.Length; i++)
        {
            ref ReplicaPushRequest.PushedPartition partition = ref request.Partitions[i];
            records[i] = [];
            if (room > 0 && Replicas.GetValueOrDefault(new PartitionId(partition.TopicId, partition.PartitionIndex)) is { Log: { } log }
                && log.Failure is null && partition.PreviousEndOffset < log.DurableEndOffset)
            {
                LogReadResult read = log.Read(partition.PreviousEndOffset, room, toDurableEnd: true);
                records[i] = read.Error == ErrorCode.None && log.FencedEpoch <= partition.LeaderEpoch ? read.Records : [];
                room -= records[i].Sum(segment => segment.Length);
            }

            partition.SegmentCount = records[i].Length;
        }

        if (_world.Trace is not null && request.Partitions.Length > 0)
        {
            Note($"push {send.Call} to {send.To}: " + string.Join(", ", request.Partitions.Select(p =>
                $"{NameOf(p.TopicId, p.PartitionIndex)} {p.PreviousEndOffset} hw {p.HighWatermark} {p.SegmentCount} segments")));
        }

        Call<ReplicaPushResponse>(
            send.To,
            (process, answer) => process.ReceivePush(Broker.Id, request, records, answer),
            response =>
            {
                if (_world.Trace is not null && request.Partitions.Length > 0)
                {
                    Note($"push {send.Call} answered: " + (response is null ? "nothing" : string.Join(", ",
                        response.Partitions.Select(p => $"{p.ErrorCode} {p.LogEndOffset}").Concat(
                            response.MovedEnds.Select(m => $"moved {NameOf(m.TopicId, m.PartitionIndex)} {m.LogEndOffset}")))));
                }

                Tell((machine, now) => machine.PushAnswered(send.Call, response, now));
            });
    }

    private void ReceivePush(
        int from, ReplicaPushRequest request, ReadOnlyMemory<byte>[][] records, Action<ReplicaPushResponse> answer)
    {
        if (!_isStarted)
            return;

        Action<ReplicaPushResponse> send = answer;
        if (TakeAsCandidate(ref request, ref records) is { } taken)
            send = response => answer(Merge(taken, response));

        ReplicaPushRequest received = request;
        long call = ++_nextCall;
        _pushes[call] = new IncomingPush(from, request, records, send);
        Tell((machine, now) => machine.ReceivePush(call, from, received, now));
    }

    private void AppendPushed(ReplicationEffect.AppendPushed append)
    {
        IncomingPush push = _pushes[append.Call];
        ReplicaOf(append.Id).AppendPushed(push.Records[append.Index], push.Request.Partitions[append.Index].LeaderEpoch);
    }

    private void AnswerPush(ReplicationEffect.AnswerPush answer)
    {
        if (!_pushes.Remove(answer.Call, out IncomingPush? push))
            throw new InvalidOperationException($"Push {answer.Call} is answered twice.");

        for (int i = 0; i < push.Request.Partitions.Length; i++)
        {
            ReplicaPushRequest.PushedPartition pushed = push.Request.Partitions[i];
            ReplicaPushResponse.PushResult result = answer.Response.Partitions[i];
            if (result.ErrorCode is not (ErrorCode.None or ErrorCode.RequestTimedOut))
            {
                _world.Statistics.Count(Rule.PushRefused);
                if (_world.Trace is not null)
                    Note($"refuses a push of {NameOf(pushed.TopicId, pushed.PartitionIndex)}: {result.ErrorCode}");
            }

            if (result.ErrorCode == ErrorCode.None && !pushed.IsResigned)
                CheckFence(new PartitionId(pushed.TopicId, pushed.PartitionIndex), pushed.LeaderEpoch);
        }

        foreach (ReplicaPushResponse.MovedEnd moved in answer.Response.MovedEnds)
            CheckFence(new PartitionId(moved.TopicId, moved.PartitionIndex), moved.LeaderEpoch);

        push.Answer(answer.Response);
    }

    /// <summary>Invariant 6: a broker that is durably fenced acknowledges nothing to older leaders, restarts included.</summary>
    private void CheckFence(PartitionId id, int epoch)
    {
        if (Broker.Fences.TryGetValue(id, out (Guid LogId, int Epoch) fence) && epoch < fence.Epoch
            && Replicas.GetValueOrDefault(id)?.Log?.LogId == fence.LogId)
        {
            throw ViolationException.Safety(
                6, $"{_cluster.History(id).Name}: {this} acknowledges a push of epoch {epoch} and is fenced at {fence.Epoch}");
        }
    }
}
