using Arus.Protocol;

namespace Arus.Coordination.Tests.Groups;

/// <summary>
/// A group under trouble: members and coordinators die and come back, messages are lost, two coordinators live at once. Then the
/// trouble ends, and the group has to settle.
/// </summary>
internal sealed class GroupSimulation
{
    public const int Partitions = 6;
    private const int Members = 5;
    private const int TroubleMs = 120_000;
    private const int SettleMs = (2 * SimulatedMember.RebalanceTimeoutMs) + (2 * SimulatedMember.SessionTimeoutMs) + 10_000;

    private readonly SimulatedStorage _storage;
    private readonly List<SimulatedCoordinator> _coordinators = [];
    private readonly SimulatedMember[] _members;
    private readonly Dictionary<(int Generation, int Partition), string> _owners = [];
    private readonly Dictionary<int, string> _membersOf = [];
    private readonly List<Task> _running = [];
    private bool _trouble = true;

    public GroupSimulation(int seed)
    {
        World = new SimulatedWorld(seed);
        _storage = new SimulatedStorage(World);
        _members = [.. Enumerable.Range(0, Members).Select(i => new SimulatedMember(this, $"m{i}", i < 2 ? $"static{i}" : null))];
    }

    public SimulatedWorld World { get; }

    public long[] Processed { get; } = new long[Partitions];

    public long[] Acknowledged { get; } = [.. Enumerable.Repeat(-1L, Partitions)];

    public void Run()
    {
        StartCoordinator();
        World.After(1, Trouble);
        World.RunUntil(TroubleMs);
        _trouble = false;
        World.Note("the trouble ends");
        foreach (SimulatedCoordinator coordinator in _coordinators.SkipLast(1))
            coordinator.Kill("the directory found the other");

        if (!_coordinators[^1].IsAlive)
            StartCoordinator();

        _members[^1].Start();
        World.RunUntil(TroubleMs + SettleMs);
        CheckSettled();
    }

    public void Send(IApiMessage request, Caller caller, Action<IApiMessage> reply, bool mustOwn = false)
    {
        if (_trouble && World.Chance(0.03))
            return;

        SimulatedCoordinator[] reachable = [.. _coordinators.Where(coordinator => coordinator.IsAlive)];
        if (reachable.Length == 0)
            return;

        SimulatedCoordinator target = World.Chance(0.7) ? reachable[^1] : reachable[World.Random.Next(reachable.Length)];
        World.After(World.Random.Next(1, 50), () => target.Receive(request, caller, reply, mustOwn));
    }

    public void Deliver(Action reply)
    {
        if (!_trouble || !World.Chance(0.03))
            World.After(World.Random.Next(1, 50), reply);
    }

    /// <summary>Member loops never end in an exception but that of a broken invariant, which must not get lost.</summary>
    public void Track(Task loop) => _running.Add(loop);

    /// <summary>A generation has one list of members, whoever coordinates.</summary>
    public void CheckMembers(JoinGroupResponse join)
    {
        if (join.Members.Length > 0)
        {
            string members = string.Join(' ', join.Members.Select(member => member.GroupInstanceId ?? member.MemberId).Order());
            World.Require(
                _membersOf.TryAdd(join.GenerationId, members) || _membersOf[join.GenerationId] == members,
                () => $"generation {join.GenerationId} has the members {_membersOf[join.GenerationId]}, and {members}");
        }
    }

    public void CheckOwners(int generation, int[] partitions, string owner)
    {
        World.Note($"{owner} owns [{string.Join(',', partitions)}] in {generation}");
        foreach (int partition in partitions)
        {
            if (!_owners.TryAdd((generation, partition), owner))
            {
                string other = _owners[(generation, partition)];
                World.Require(
                    other == owner, () => $"in generation {generation}, partition {partition} has the owners {other} and {owner}");
            }
        }
    }

    private void StartCoordinator() => _coordinators.Add(new SimulatedCoordinator(World, _storage, $"coordinator{_coordinators.Count}"));

    private void Trouble()
    {
        if (!_trouble)
            return;

        SimulatedMember member = _members[World.Random.Next(Members)];
        switch (World.Random.Next(10))
        {
            case 0:
                _coordinators[^1].Kill("killed");
                break;
            case 1:
                // The old one lives on: two at a time.
                StartCoordinator();
                break;
            case 2 when member.IsUp:
                member.Crash();
                break;
            case 3 when member.IsUp:
                member.Leave();
                break;
            case 4 when member.IsUp:
                member.Stall(World.Random.Next(500, 2 * SimulatedMember.SessionTimeoutMs));
                break;
            case > 4 when !member.IsUp:
                member.Start();
                break;
        }

        if (!_coordinators[^1].IsAlive)
        {
            World.After(World.Random.Next(0, 3_000), () =>
            {
                if (!_coordinators[^1].IsAlive)
                    StartCoordinator();
            });
        }

        World.After(World.Random.Next(100, 6_000), Trouble);
    }

    private void CheckSettled()
    {
        foreach (Task loop in _running)
        {
            if (loop.Exception is { } failure)
                throw failure.InnerException!;
        }

        ConsumerGroup group = _coordinators[^1].Group;
        World.Require(group.State == GroupState.Stable, () => $"the group is {group.State}");
        SimulatedMember[] up = [.. _members.Where(member => member.IsUp)];
        World.Require(
            up.All(member => member.Generation == group.Generation), () => $"not every member is in generation {group.Generation}");
        int[] owned = [.. up.SelectMany(member => member.Owned).Order()];
        World.Require(owned.SequenceEqual(Enumerable.Range(0, Partitions)), () => $"the partitions owned are {string.Join(',', owned)}");
    }
}
