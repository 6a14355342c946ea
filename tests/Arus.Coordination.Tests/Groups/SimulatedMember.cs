using System.Text;
using Arus.Protocol;

namespace Arus.Coordination.Tests.Groups;

/// <summary>A consumer: joins, syncs, fetches what is committed, commits, and dies or stalls at any point.</summary>
internal sealed class SimulatedMember(GroupSimulation simulation, string name, string? instanceId)
{
    public const int SessionTimeoutMs = 6_000;
    public const int RebalanceTimeoutMs = 10_000;
    private const int CallTimeoutMs = 6_000;

    private readonly SimulatedWorld _world = simulation.World;
    private int _life;
    private long _stalledUntil;
    private string _memberId = "";
    private bool _rejoin;

    public bool IsUp { get; private set; }

    public int Generation { get; private set; } = -1;

    public int[] Owned { get; private set; } = [];

    public void Start()
    {
        IsUp = true;
        int life = ++_life;
        _world.Note($"{name} starts");
        simulation.Track(RunAsync(life));
    }

    public void Crash()
    {
        _world.Note($"{name} crashes");
        End();
    }

    public void Stall(int ms)
    {
        _world.Note($"{name} stalls for {ms}");
        _stalledUntil = _world.Now + ms;
    }

    public void Leave()
    {
        _world.Note($"{name} leaves");
        var request = new LeaveGroupRequest { Members = [new() { MemberId = _memberId, GroupInstanceId = instanceId }] };
        simulation.Send(request, default, _ => { });
        End();
    }

    private void End()
    {
        IsUp = false;
        _life++;
        Reset();
    }

    private void Reset()
    {
        _memberId = "";
        Generation = -1;
        Owned = [];
    }

    private async Task RunAsync(int life)
    {
        while (life == _life)
        {
            if (!await JoinAsync(life))
            {
                await StepAsync(_world.Random.Next(50, 300));
                continue;
            }

            _rejoin = false;
            simulation.Track(HeartbeatAsync(life, Generation));
            await ConsumeAsync(life);
        }
    }

    /// <summary>One attempt at a generation; true if it brought an assignment.</summary>
    private async Task<bool> JoinAsync(int life)
    {
        var request = new JoinGroupRequest
        {
            MemberId = _memberId, GroupInstanceId = instanceId,
            SessionTimeoutMs = SessionTimeoutMs, RebalanceTimeoutMs = RebalanceTimeoutMs,
            ProtocolType = "consumer", Protocols = [new() { Name = "range", Metadata = GroupScript.Subscription("t") }],
        };
        IApiMessage? reply = await CallAsync(request, new Caller(name, "/sim", JoinGroupRequest.Descriptor.MaxVersion));
        if (life != _life || reply is not JoinGroupResponse join)
            return false;

        if (join.ErrorCode is not (ErrorCode.None or ErrorCode.MemberIdRequired or ErrorCode.RequestTimedOut))
        {
            Forget(join.ErrorCode);
            return false;
        }

        _memberId = join.MemberId;
        if (join.ErrorCode != ErrorCode.None)
            return false;

        // The eager protocol: what was owned is given up before the next generation is known.
        Owned = [];
        Generation = join.GenerationId;
        simulation.CheckMembers(join);
        while (life == _life)
        {
            reply = await CallAsync(new SyncGroupRequest
            {
                MemberId = _memberId, GroupInstanceId = instanceId, GenerationId = Generation, Assignments = [.. Assign(join)],
            });
            if (life != _life || reply is not SyncGroupResponse sync)
                return false;

            if (sync.ErrorCode is not (ErrorCode.None or ErrorCode.RequestTimedOut))
            {
                Forget(sync.ErrorCode);
                return false;
            }

            if (sync.ErrorCode == ErrorCode.None)
            {
                string assigned = Encoding.UTF8.GetString(sync.Assignment.Span);
                Owned = [.. assigned.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)];
                simulation.CheckOwners(Generation, Owned, instanceId ?? _memberId);
                return true;
            }
        }

        return false;
    }

    private static IEnumerable<SyncGroupRequest.SyncGroupRequestAssignment> Assign(JoinGroupResponse join)
    {
        if (join.SkipAssignment)
            yield break;

        for (int i = 0; i < join.Members.Length; i++)
        {
            IEnumerable<int> mine =
                Enumerable.Range(0, GroupSimulation.Partitions).Where(partition => partition % join.Members.Length == i);
            yield return new() { MemberId = join.Members[i].MemberId, Assignment = Encoding.UTF8.GetBytes(string.Join(',', mine)) };
        }
    }

    private async Task HeartbeatAsync(int life, int generation)
    {
        while (life == _life && generation == Generation && !_rejoin)
        {
            await StepAsync(1_000);
            if (life != _life || generation != Generation)
                return;

            var request = new HeartbeatRequest { MemberId = _memberId, GroupInstanceId = instanceId, GenerationId = Generation };
            ErrorCode? error = (await CallAsync(request) as HeartbeatResponse)?.ErrorCode;
            if (life == _life && generation == Generation && error is not (null or ErrorCode.None))
            {
                Forget(error.Value);
                _rejoin = true;
            }
        }
    }

    private async Task ConsumeAsync(int life)
    {
        TopicPartition[] partitions = [.. Owned.Select(partition => new TopicPartition("t", partition))];
        long[] least = [.. Owned.Select(partition => simulation.Acknowledged[partition])];
        var fetch = new OffsetFetchRequest { Groups = [new() { Topics = [new() { Name = "t", PartitionIndexes = Owned }] }] };
        if (await CallAsync(fetch, mustOwn: true) is OffsetFetchResponse fetched)
        {
            OffsetFetchResponse.OffsetFetchResponsePartitions[] offsets = fetched.Groups[0].Topics[0].Partitions;
            for (int i = 0; i < partitions.Length; i++)
            {
                long offset = offsets[i].CommittedOffset;
                _world.Require(offset >= least[i], () => $"{name} read {offset} for {partitions[i]}, and {least[i]} was acknowledged");
            }
        }

        while (life == _life && !_rejoin)
        {
            await StepAsync(_world.Random.Next(100, 1_500));
            if (life != _life || _rejoin || Owned.Length == 0)
                continue;

            OffsetCommitRequest.OffsetCommitRequestPartition[] offsets = [.. Owned.Select(
                partition => new OffsetCommitRequest.OffsetCommitRequestPartition
                {
                    PartitionIndex = partition, CommittedOffset = ++simulation.Processed[partition],
                })];
            IApiMessage? reply = await CallAsync(new OffsetCommitRequest
            {
                MemberId = _memberId, GroupInstanceId = instanceId, GenerationIdOrMemberEpoch = Generation,
                Topics = [new() { Name = "t", TopicId = SimulatedWorld.TopicId, Partitions = offsets }],
            });
            ErrorCode? error = (reply as OffsetCommitResponse)?.Topics[0].Partitions[0].ErrorCode;
            if (error == ErrorCode.None)
            {
                foreach (OffsetCommitRequest.OffsetCommitRequestPartition offset in offsets)
                {
                    long acknowledged = simulation.Acknowledged[offset.PartitionIndex];
                    simulation.Acknowledged[offset.PartitionIndex] = Math.Max(acknowledged, offset.CommittedOffset);
                }
            }
            else if (life == _life && error is { } refusal)
            {
                Forget(refusal);
                _rejoin = true;
            }
        }
    }

    private void Forget(ErrorCode error)
    {
        _world.Note($"{name} {_memberId} gen={Generation}: {error}");
        if (error is ErrorCode.UnknownMemberId or ErrorCode.FencedInstanceId)
        {
            Reset();
        }
        else if (error == ErrorCode.IllegalGeneration)
        {
            Generation = -1;
            Owned = [];
        }
    }

    private async Task<IApiMessage?> CallAsync(IApiMessage request, Caller caller = default, bool mustOwn = false)
    {
        await StepAsync(0);
        var source = new TaskCompletionSource<IApiMessage?>();
        simulation.Send(request, caller, reply => simulation.Deliver(() => source.TrySetResult(reply)), mustOwn);
        _world.After(CallTimeoutMs, () => source.TrySetResult(null));
        IApiMessage? result = await source.Task;
        await StepAsync(0);
        return result;
    }

    /// <summary>Waits, and then as long as the process hangs.</summary>
    private async Task StepAsync(int ms)
    {
        await _world.Delay(ms);
        if (_world.Now < _stalledUntil)
            await _world.Delay((int)(_stalledUntil - _world.Now));
    }
}
