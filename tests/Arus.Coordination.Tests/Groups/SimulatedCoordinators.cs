using Arus.Protocol;

namespace Arus.Coordination.Tests.Groups;

/// <summary>Storage with compare-and-swap, as grain storage has it.</summary>
internal sealed class SimulatedStorage(SimulatedWorld world)
{
    private byte[]? _metadata;

    public long Version { get; private set; }

    public Dictionary<TopicPartition, StoredPartition> Offsets { get; } = [];

    public GroupMetadata? Metadata => _metadata is null ? null : DataMessages.ReadVersioned<GroupMetadata>(_metadata);

    /// <summary>A new coordinator makes the versions of all before it stale.</summary>
    public long Claim() => ++Version;

    public bool TryWrite(ref long version, GroupRecords records)
    {
        if (version != Version)
            return false;

        version = ++Version;
        if (records.Clear)
        {
            _metadata = null;
            Offsets.Clear();
        }

        _metadata = records.Metadata is null ? _metadata : DataMessages.WriteVersioned(records.Metadata);
        foreach ((TopicPartition partition, StoredPartition? offset) in records.Offsets)
        {
            if (offset is { } value)
            {
                world.Require(
                    !Offsets.TryGetValue(partition, out StoredPartition before) || before.Committed?.Offset <= value.Committed?.Offset,
                    () => $"the stored offset of {partition} went back from {before.Committed} to {value.Committed}");
                Offsets[partition] = value;
            }
            else
            {
                Offsets.Remove(partition);
            }
        }

        return true;
    }
}

/// <summary>One activation of the group's coordinator, doing what the grain does.</summary>
internal sealed class SimulatedCoordinator
{
    // A rebalance is prepared for a rebalance timeout; if only static members are left then as long as their sessions last on top.
    private const long LongestPreparationMs =
        (2 * SimulatedMember.RebalanceTimeoutMs) + SimulatedMember.SessionTimeoutMs + GroupScript.WaitLimitMs;

    private readonly SimulatedWorld _world;
    private readonly SimulatedStorage _storage;
    private readonly ConsumerGroup _group;
    private readonly Dictionary<long, Action<IApiMessage>> _calls = [];
    private readonly string _name;
    private long _version;
    private long _lastCall;
    private long _armed = long.MaxValue;
    private long _preparingSince = long.MaxValue;
    private bool _writing;

    public SimulatedCoordinator(SimulatedWorld world, SimulatedStorage storage, string name)
    {
        _world = world;
        _storage = storage;
        _name = name;
        _version = storage.Claim();
        _group = new ConsumerGroup(
            new GroupOptions(BrokerConfig.Default), () => world.Random.Next().ToString("x8", null), GroupScript.WaitLimitMs,
            storage.Metadata, storage.Offsets, world.Now);
        world.Note($"{name} starts: {_group.State} gen={_group.Generation}");
        CarryOutEffects();
    }

    public bool IsAlive { get; private set; } = true;

    public ConsumerGroup Group => _group;

    public void Kill(string why)
    {
        IsAlive = false;
        _world.Note($"{_name} ends: {why}");
    }

    /// <summary>Takes a request; calls that still wait when the coordinator dies are never answered.</summary>
    public void Receive(IApiMessage request, Caller caller, Action<IApiMessage> reply, bool mustOwn = false)
    {
        if (!IsAlive)
            return;

        if (mustOwn && _storage.Version != _version)
        {
            Kill("another owns the group");
            return;
        }

        _calls[++_lastCall] = reply;
        _group.Receive(_lastCall, request, caller, _world.Now);
        CarryOutEffects();
    }

    private void CarryOutEffects()
    {
        Effects<GroupRecords> effects = _group.TakeEffects(canWrite: !_writing);
        foreach ((long call, IApiMessage message) in effects.Replies)
        {
            _calls.Remove(call, out Action<IApiMessage>? answer);
            _world.Require(answer is not null, () => $"call {call} was answered twice");
            answer!(message);
        }

        if (effects.Records is { } records)
        {
            _writing = true;
            _world.After(_world.Random.Next(1, 150), () => Complete(records));
        }

        if (effects.Deadline < _armed)
        {
            _armed = effects.Deadline;
            _world.At(_armed, Tick);
        }

        _preparingSince = _group.State != GroupState.PreparingRebalance ? long.MaxValue : Math.Min(_preparingSince, _world.Now);
        _world.Require(
            _preparingSince == long.MaxValue || _world.Now - _preparingSince <= LongestPreparationMs,
            () => $"{_name} prepares generation {_group.Generation + 1} since {_preparingSince}");
    }

    private void Complete(GroupRecords records)
    {
        // A coordinator that died with a write under way may or may not have been heard by the storage.
        if (!IsAlive && _world.Chance(0.5))
            return;

        if (!_storage.TryWrite(ref _version, records))
            Kill("fenced");

        if (IsAlive)
        {
            _writing = false;
            _group.Written();
            CarryOutEffects();
        }
    }

    private void Tick()
    {
        _armed = long.MaxValue;
        if (IsAlive)
        {
            _group.Advance(_world.Now);
            CarryOutEffects();
        }
    }
}
