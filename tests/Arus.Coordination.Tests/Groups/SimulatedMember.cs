using System.Text;

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

    private MemberRef Self => new(_memberId, instanceId, Generation);

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
        MemberRef self = Self;
        simulation.Send((group, _) => group.Leave([self], _world.Now), _ => { });
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
        var request = new JoinRequest(
            _memberId, instanceId, instanceId is null, name, "/sim", SessionTimeoutMs, RebalanceTimeoutMs, "consumer",
            [new ProtocolChoice("range", GroupScript.Subscription("t"))], true);
        GroupReply? reply = await CallAsync((group, token) => group.Join(token, request, _world.Now));
        if (life != _life || reply is not JoinReply join)
        {
            return false;
        }

        if (join.Error is not (ErrorCode.None or ErrorCode.MemberIdRequired))
        {
            Forget(join.Error);
            return false;
        }

        _memberId = join.MemberId;
        if (join.Pending || join.Error == ErrorCode.MemberIdRequired)
        {
            return false;
        }

        // The eager protocol: what was owned is given up before the next generation is known.
        Owned = [];
        Generation = join.Generation;
        simulation.CheckMembers(join);
        KeyValuePair<string, ReadOnlyMemory<byte>>[] assignments = [.. Assign(join)];
        while (life == _life)
        {
            reply = await CallAsync((group, token) => group.Sync(token, new SyncRequest(Self, null, null, assignments), _world.Now));
            if (life != _life || reply is not SyncReply sync)
            {
                return false;
            }

            if (sync.Error != ErrorCode.None)
            {
                Forget(sync.Error);
                return false;
            }

            if (!sync.Pending)
            {
                Owned = [.. Encoding.UTF8.GetString(sync.Assignment.Span).Split(',', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)];
                simulation.CheckOwners(Generation, Owned, instanceId ?? _memberId);
                return true;
            }
        }

        return false;
    }

    private static IEnumerable<KeyValuePair<string, ReadOnlyMemory<byte>>> Assign(JoinReply join)
    {
        if (join.SkipAssignment)
        {
            yield break;
        }

        for (int i = 0; i < join.Members.Count; i++)
        {
            IEnumerable<int> mine = Enumerable.Range(0, GroupSimulation.Partitions).Where(partition => partition % join.Members.Count == i);
            yield return new(join.Members[i].MemberId, Encoding.UTF8.GetBytes(string.Join(',', mine)));
        }
    }

    private async Task HeartbeatAsync(int life, int generation)
    {
        while (life == _life && generation == Generation && !_rejoin)
        {
            await StepAsync(1_000);
            if (life != _life || generation != Generation)
            {
                return;
            }

            MemberRef self = Self;
            var source = new TaskCompletionSource<ErrorCode>();
            simulation.Send((group, _) => simulation.Deliver(() => source.TrySetResult(group.Heartbeat(self, _world.Now))), _ => { });
            _world.After(CallTimeoutMs, () => source.TrySetResult(ErrorCode.RequestTimedOut));
            ErrorCode error = await source.Task;
            if (life == _life && generation == Generation && error is not (ErrorCode.None or ErrorCode.RequestTimedOut))
            {
                Forget(error);
                _rejoin = true;
            }
        }
    }

    private async Task ConsumeAsync(int life)
    {
        TopicPartition[] partitions = [.. Owned.Select(partition => new TopicPartition("t", partition))];
        long[] least = [.. Owned.Select(partition => simulation.Acknowledged[partition])];
        if (await CallAsync((group, token) => group.FetchOffsets(token, partitions), mustOwn: true) is OffsetsReply fetched)
        {
            for (int i = 0; i < partitions.Length; i++)
            {
                long offset = fetched.Offsets[i].Value?.Offset ?? -1;
                _world.Require(offset >= least[i], () => $"{name} read {offset} for {partitions[i]}, and {least[i]} was acknowledged");
            }
        }

        while (life == _life && !_rejoin)
        {
            await StepAsync(_world.Random.Next(100, 1_500));
            if (life != _life || _rejoin || Owned.Length == 0)
            {
                continue;
            }

            int[] owned = Owned;
            OffsetToCommit[] offsets =
                [.. owned.Select(partition => new OffsetToCommit(new TopicPartition("t", partition), ++simulation.Processed[partition], -1, ""))];
            MemberRef self = Self;
            GroupReply? reply = await CallAsync((group, token) => group.CommitOffsets(token, self, -1, offsets, _world.Now));
            ErrorCode? error = (reply as ErrorsReply)?.Errors[0];
            if (error == ErrorCode.None)
            {
                foreach (OffsetToCommit offset in offsets)
                {
                    int partition = offset.Partition.Partition;
                    simulation.Acknowledged[partition] = Math.Max(simulation.Acknowledged[partition], offset.Offset);
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

    private async Task<GroupReply?> CallAsync(Action<ConsumerGroup, long> call, bool mustOwn = false)
    {
        await StepAsync(0);
        var source = new TaskCompletionSource<GroupReply?>();
        simulation.Send(call, reply => simulation.Deliver(() => source.TrySetResult(reply)), mustOwn);
        _world.After(CallTimeoutMs, () => source.TrySetResult(null));
        GroupReply? result = await source.Task;
        await StepAsync(0);
        return result;
    }

    /// <summary>Waits, and then as long as the process hangs.</summary>
    private async Task StepAsync(int ms)
    {
        await _world.Delay(ms);
        if (_world.Now < _stalledUntil)
        {
            await _world.Delay((int)(_stalledUntil - _world.Now));
        }
    }
}
