using Arus.Coordination;
using Arus.Grains;
using Arus.Protocol;

namespace Arus.Testing;

/// <summary>
/// A transactional id's coordinator in this process: the real state machine, whose writes are durable at once, and whose participants
/// have each marker at once unless a test holds them. Thread-safe but for its settings.
/// </summary>
public sealed class InMemoryTransaction(string transactionalId, Func<Task<long>> newProducerId, TimeProvider time) : ITransactionGrain
{
    private readonly Lock _gate = new();
    private readonly Dictionary<long, IApiMessage> _replies = [];
    private readonly List<MarkerToSend> _held = [];
    private readonly TransactionCoordinator _machine = new(transactionalId, new TransactionOptions(BrokerConfig.Default), 0, stored: null);
    private long _lastCall;

    /// <summary>What every call fails with; null for none.</summary>
    public Exception? Failure { get; set; }

    /// <summary>The broker on which the coordinator says that it runs.</summary>
    public int BrokerId { get; set; } = 1;

    /// <summary>Whether the participants are told nothing.</summary>
    public bool HoldsMarkers { get; set; }

    /// <summary>What the participants were told, or are to be.</summary>
    public List<MarkerToSend> Markers { get; } = [];

    public TransactionState State
    {
        get
        {
            lock (_gate)
                return _machine.State;
        }
    }

    private long NowMs => time.GetUtcNow().ToUnixTimeMilliseconds();

    public Task<InitProducerIdResponse> InitProducerIdAsync(InitProducerIdRequest request) =>
        AskAsync<InitProducerIdResponse>(call => _machine.Receive(call, request, default, NowMs), supply: true);

    public async Task<ErrorCode> AddPartitionsAsync(long producerId, short producerEpoch, TransactionPartition[] partitions) =>
        (await AskAsync<AddOffsetsToTxnResponse>(call => _machine.Add(call, producerId, producerEpoch, Of(partitions), NowMs))).ErrorCode;

    public async Task<ErrorCode> VerifyPartitionsAsync(long producerId, short producerEpoch, TransactionPartition[] partitions) =>
        (await AskAsync<AddOffsetsToTxnResponse>(call => _machine.Verify(call, producerId, producerEpoch, Of(partitions)))).ErrorCode;

    public async Task<GroupParticipation> AddGroupAsync(long producerId, short producerEpoch, string groupId) => new(
        (await AskAsync<AddOffsetsToTxnResponse>(
            call => _machine.Add(call, producerId, producerEpoch, [TransactionParticipant.Group(groupId)], NowMs))).ErrorCode,
        _machine.CoordinatorEpoch);

    public async Task<GroupParticipation> VerifyGroupAsync(long producerId, short producerEpoch, string groupId) => new(
        (await AskAsync<AddOffsetsToTxnResponse>(
            call => _machine.Verify(call, producerId, producerEpoch, [TransactionParticipant.Group(groupId)]))).ErrorCode,
        _machine.CoordinatorEpoch);

    public Task<EndTxnResponse> EndAsync(EndTxnRequest request, short transactionVersion) =>
        AskAsync<EndTxnResponse>(call => _machine.End(call, request, transactionVersion, NowMs), supply: true);

    public Task<DescribeTransactionsResponse> DescribeAsync(DescribeTransactionsRequest request) =>
        AskAsync<DescribeTransactionsResponse>(call => _machine.Receive(call, request, default, NowMs));

    public Task<int> LocateAsync() => Failure is null ? Task.FromResult(BrokerId) : Task.FromException<int>(Failure);

    public Task WakeAsync() => Task.CompletedTask;

    private static TransactionParticipant[] Of(TransactionPartition[] partitions) => Array.ConvertAll(
        partitions, partition => new TransactionParticipant(partition.Topic, partition.Partition, partition.TopicId));

    private async Task<TResponse> AskAsync<TResponse>(Action<long> input, bool supply = false)
        where TResponse : IApiMessage
    {
        if (Failure is not null)
            throw Failure;

        long producerId = supply ? await newProducerId() : -1;
        lock (_gate)
        {
            if (supply && _machine.NeedsProducerId)
                _machine.SupplyProducerId(producerId);

            input(++_lastCall);
            CarryOutEffects();
            return (TResponse)_replies[_lastCall];
        }
    }

    private void CarryOutEffects()
    {
        Effects<TransactionRecords> effects;
        do
        {
            effects = _machine.TakeEffects(canWrite: true);
            foreach ((long call, IApiMessage message) in effects.Replies)
                _replies.Add(call, message);

            if (effects.Records is not null)
                _machine.Written();

            while (_machine.TryTakeMarker(out MarkerToSend marker))
            {
                Markers.Add(marker);
                _held.Add(marker);
            }

            if (!HoldsMarkers)
                _held.ForEach(marker => _machine.MarkerSent(marker, MarkerOutcome.Written, NowMs));

            _held.RemoveAll(_ => !HoldsMarkers);
        }
        while (effects.Records is not null);
    }
}
