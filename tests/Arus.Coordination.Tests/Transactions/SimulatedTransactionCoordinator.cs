using Arus.Coordination.Tests.Groups;
using Arus.Protocol;

namespace Arus.Coordination.Tests.Transactions;

/// <summary>One row with compare-and-swap, as grain storage has it.</summary>
internal sealed class SimulatedTransactionStorage
{
    private byte[]? _metadata;

    public long Version { get; private set; }

    public int CoordinatorEpoch { get; private set; }

    public TransactionMetadata? Metadata => _metadata is null ? null : DataMessages.ReadVersioned<TransactionMetadata>(_metadata);

    /// <summary>A new coordinator makes the versions of all before it stale, and has an epoch of its own.</summary>
    public long Claim()
    {
        CoordinatorEpoch += _metadata is null ? 0 : 1;
        return ++Version;
    }

    public bool TryWrite(ref long version, TransactionRecords records)
    {
        if (version != Version)
            return false;

        version = ++Version;
        CoordinatorEpoch = records.CoordinatorEpoch;
        _metadata = records.Metadata is null ? null : DataMessages.WriteVersioned(records.Metadata);
        return true;
    }
}

/// <summary>One activation of the coordinator, doing what the grain does.</summary>
internal sealed class SimulatedTransactionCoordinator
{
    private readonly TransactionSimulation _simulation;
    private readonly SimulatedTransactionStorage _storage;
    private readonly string _name;
    private readonly Dictionary<long, TaskCompletionSource<IApiMessage?>> _calls = [];
    private long _version;
    private long _lastCall;
    private long _armed = long.MaxValue;
    private bool _writing;

    public SimulatedTransactionCoordinator(TransactionSimulation simulation, SimulatedTransactionStorage storage, string name)
    {
        (_simulation, _storage, _name) = (simulation, storage, name);
        _version = storage.Claim();
        Machine = new TransactionCoordinator(
            "id", new TransactionOptions(BrokerConfig.Default), storage.CoordinatorEpoch, storage.Metadata);
        World.Note($"{name} starts: {Machine.State}, epoch {storage.CoordinatorEpoch}");
        Machine.Advance(World.Now);
        CarryOutEffects();
    }

    public bool IsAlive { get; private set; } = true;

    public TransactionCoordinator Machine { get; }

    private SimulatedWorld World => _simulation.World;

    /// <summary>Who waits learns nothing, and asks again.</summary>
    public void Kill(string why)
    {
        if (!IsAlive)
            return;

        IsAlive = false;
        World.Note($"{_name} ends: {why}");
        foreach (TaskCompletionSource<IApiMessage?> call in _calls.Values.ToArray())
            call.TrySetResult(null);
    }

    /// <summary>Null if it ended before it answered, or is not the owner any more.</summary>
    public async Task<TResponse?> AskAsync<TResponse>(Action<TransactionCoordinator, long> input)
        where TResponse : class, IApiMessage
    {
        if (!IsAlive)
            return null;

        if (Machine.NeedsProducerId)
            Machine.SupplyProducerId(_simulation.NextProducerId());

        var source = new TaskCompletionSource<IApiMessage?>();
        _calls.Add(++_lastCall, source);
        long before = Machine.Changes;
        input(Machine, _lastCall);
        bool isChange = Machine.Changes != before;
        CarryOutEffects();
        if (await source.Task is not TResponse response)
            return null;

        return isChange || _simulation.Fault == TransactionFault.NotOwner || await IsOwnerAsync() ? response : null;
    }

    private async Task<bool> IsOwnerAsync()
    {
        await World.Delay(World.Random.Next(1, 5));
        if (_storage.Version != _version)
            Kill("another owns the id");

        return IsAlive;
    }

    private void CarryOutEffects()
    {
        if (!IsAlive)
            return;

        Effects<TransactionRecords> effects = Machine.TakeEffects(canWrite: !_writing);
        foreach ((long call, IApiMessage message) in effects.Replies)
        {
            World.Require(_calls.Remove(call, out TaskCompletionSource<IApiMessage?>? source), () => $"call {call} was answered twice");
            World.At(World.Now, () => source!.TrySetResult(message));
        }

        if (effects.Records is { } records)
        {
            _writing = true;
            World.After(World.Random.Next(1, 40), () => Complete(records));
        }

        if (effects.Deadline < _armed)
        {
            _armed = effects.Deadline;
            World.At(_armed, Tick);
        }

        while (Machine.TryTakeMarker(out MarkerToSend marker))
            _simulation.Start(() => SendAsync(marker));
    }

    private async Task SendAsync(MarkerToSend marker)
    {
        SimulatedAnswer? answer = await _simulation.CallAsync(
            () => _simulation.Participant(marker.Participant).WriteMarkerAsync(marker), mayBeLate: true,
            mayBeDoubled: marker.TransactionVersion >= 2);
        if (!IsAlive)
            return;

        if (answer?.Error is ErrorCode.InvalidProducerEpoch or ErrorCode.TransactionCoordinatorFenced && !await IsOwnerAsync())
            return;

        MarkerOutcome outcome = answer?.Error switch
        {
            ErrorCode.None or ErrorCode.InvalidProducerEpoch => MarkerOutcome.Written,
            ErrorCode.NotLeaderOrFollower => MarkerOutcome.Refused,
            _ when _simulation.Fault == TransactionFault.MarkerForgotten => MarkerOutcome.Written,
            _ => MarkerOutcome.Unknown,
        };
        Machine.MarkerSent(marker, outcome, World.Now);
        CarryOutEffects();
    }

    private void Complete(TransactionRecords records)
    {
        // A coordinator that died with a write under way may or may not have been heard by the storage.
        if (!IsAlive && World.Chance(0.5))
            return;

        if (!_storage.TryWrite(ref _version, records))
            Kill("fenced");

        if (IsAlive)
        {
            _writing = false;
            Machine.Written();
            CarryOutEffects();
        }
    }

    private void Tick()
    {
        _armed = long.MaxValue;
        if (IsAlive)
        {
            Machine.Advance(World.Now);
            CarryOutEffects();
        }
    }
}
