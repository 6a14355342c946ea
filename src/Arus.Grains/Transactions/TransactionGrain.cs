using Arus.Coordination;
using Arus.Protocol;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>The coordinator of a transactional id: a <see cref="TransactionCoordinator"/> over the id's row.</summary>
internal sealed partial class TransactionGrain(
    [FromKeyedServices(StorageNames.Metadata)] IGrainStorage storage, IGrainFactory grains, LocalBroker broker, TimeProvider time,
    ILogger<TransactionGrain> logger)
    : CoordinatorGrain<TransactionCoordinator, TransactionRecords>(time, logger), ITransactionGrain
{
    private readonly TransactionOptions _options = new(broker.Config);
    private readonly ILogger _logger = logger;
    private readonly TopicIds _topics = new(storage, grains);
    private TransactionStore _row = null!;

    private string TransactionalId => GroupKey.Parse(this.GetPrimaryKeyString());

    public async Task<InitProducerIdResponse> InitProducerIdAsync(InitProducerIdRequest request)
    {
        await SupplyProducerIdAsync(mayCreate: true);
        return await AskOwnerAsync<InitProducerIdResponse>((machine, call, nowMs) => machine.Receive(call, request, default, nowMs));
    }

    public Task<ErrorCode> AddPartitionsAsync(long producerId, short producerEpoch, TransactionPartition[] partitions) =>
        AddAsync(producerId, producerEpoch, Participants(partitions));

    public Task<ErrorCode> VerifyPartitionsAsync(long producerId, short producerEpoch, TransactionPartition[] partitions) =>
        VerifyAsync(producerId, producerEpoch, Participants(partitions));

    public async Task<GroupParticipation> AddGroupAsync(long producerId, short producerEpoch, string groupId) => new(
        await AddAsync(producerId, producerEpoch, [TransactionParticipant.Group(groupId)]), Machine.CoordinatorEpoch);

    public async Task<GroupParticipation> VerifyGroupAsync(long producerId, short producerEpoch, string groupId) => new(
        await VerifyAsync(producerId, producerEpoch, [TransactionParticipant.Group(groupId)]), Machine.CoordinatorEpoch);

    public async Task<EndTxnResponse> EndAsync(EndTxnRequest request, short transactionVersion)
    {
        await SupplyProducerIdAsync(mayCreate: false);
        return await AskOwnerAsync<EndTxnResponse>((machine, call, nowMs) => machine.End(call, request, transactionVersion, nowMs));
    }

    public Task<DescribeTransactionsResponse> DescribeAsync(DescribeTransactionsRequest request) =>
        AskAsync<DescribeTransactionsResponse>(request, claim: false);

    public Task<int> LocateAsync() => Task.FromResult(broker.BrokerId);

    public Task WakeAsync()
    {
        // To activate it was enough: what is due then has been done. One that nobody uses need not stay.
        if (Machine.IsIdle && !_row.IsOwned)
            DeactivateOnIdle();

        return Task.CompletedTask;
    }

    protected override ICoordinatorStore<TransactionRecords> OpenStore() => _row = new TransactionStore(
        storage, this.GetGrainId(), TransactionalId, Guid.NewGuid(), grains.GetTransactionCatalog(TransactionalId));

    protected override TransactionCoordinator CreateMachine(long nowMs) =>
        new(TransactionalId, _options, _row.CoordinatorEpoch, _row.Metadata);

    protected override void OnClaimed() => LogCoordinating(TransactionalId, Machine.State, Machine.CoordinatorEpoch);

    protected override void OnEffects()
    {
        while (Machine.TryTakeMarker(out MarkerToSend marker))
            _ = SendAsync(marker);
    }

    private static TransactionParticipant[] Participants(TransactionPartition[] partitions) => Array.ConvertAll(
        partitions, partition => new TransactionParticipant(partition.Topic, partition.Partition, partition.TopicId));

    private async Task<ErrorCode> AddAsync(long producerId, short producerEpoch, TransactionParticipant[] participants) =>
        (await AskOwnerAsync<AddOffsetsToTxnResponse>(
            (machine, call, nowMs) => machine.Add(call, producerId, producerEpoch, participants, nowMs))).ErrorCode;

    private async Task<ErrorCode> VerifyAsync(long producerId, short producerEpoch, TransactionParticipant[] participants) =>
        (await AskOwnerAsync<AddOffsetsToTxnResponse>(
            (machine, call, _) => machine.Verify(call, producerId, producerEpoch, participants))).ErrorCode;

    /// <summary>A change is only answered when it is written, which an earlier owner cannot; for the rest it is found out.</summary>
    private async Task<TResponse> AskOwnerAsync<TResponse>(Action<TransactionCoordinator, long, long> input)
        where TResponse : IApiMessage
    {
        bool isChange = false;
        TResponse response = await AskAsync<TResponse>((machine, call, nowMs) =>
        {
            long before = machine.Changes;
            input(machine, call, nowMs);
            isChange = machine.Changes != before;
        });
        if (!isChange)
            await CheckOwnershipAsync();

        return response;
    }

    /// <param name="mayCreate">Whether the request creates an id that does not exist.</param>
    private async Task SupplyProducerIdAsync(bool mayCreate)
    {
        await ClaimAsync();
        if (!Machine.NeedsProducerId || (Machine.State == TransactionState.Dead && !mayCreate))
            return;

        long id = await grains.GetGrain<IProducerIdGrain>(0).AllocateBlockAsync(1);
        Tell(machine => machine.SupplyProducerId(id));
    }

    private async Task SendAsync(MarkerToSend marker)
    {
        MarkerOutcome outcome;
        try
        {
            outcome = await JudgeAsync(marker, await WriteAsync(marker));
        }
        catch (Exception failure)
        {
            LogNotWritten(failure.GetBaseException().Message, TransactionalId, marker.Participant);
            outcome = MarkerOutcome.Unknown;
        }

        try
        {
            Tell(machine => machine.MarkerSent(marker, outcome, NowMs));
        }
        catch (ArusException)
        {
            // Another activation coordinates, and sends them all once more.
        }
    }

    private Task<ErrorCode> WriteAsync(MarkerToSend marker)
    {
        (string name, int partition, Guid topicId) = marker.Participant;
        var message = new TransactionMarker(
            marker.ProducerId, marker.ProducerEpoch, marker.CoordinatorEpoch, marker.IsCommit, marker.TransactionVersion, topicId);
        return marker.Participant.IsGroup
            ? grains.GetGroup(name).WriteMarkerAsync(message)
            : grains.GetGrain<IPartitionGrain>(PartitionKey.Format(name, partition)).WriteMarkerAsync(message);
    }

    /// <summary>
    /// What an answer says of the marker. Leaders answer most errors both when they have done nothing and when they do not know what
    /// becomes of what they did.
    /// </summary>
    private async Task<MarkerOutcome> JudgeAsync(MarkerToSend marker, ErrorCode error)
    {
        switch (error)
        {
            case ErrorCode.None:
                return MarkerOutcome.Written;
            case ErrorCode.InvalidProducerEpoch:
                // Only this coordinator raises epochs, or a later one; a participant that has seen a later epoch has nothing left to end.
                await CheckOwnershipAsync();
                return MarkerOutcome.Written;
            case ErrorCode.TransactionCoordinatorFenced:
                await CheckOwnershipAsync();
                return MarkerOutcome.Unknown;
            case ErrorCode.UnknownTopicOrPartition or ErrorCode.UnknownTopicId:
                return await IsDeletedAsync(marker.Participant) ? MarkerOutcome.Written : MarkerOutcome.Refused;
            default:
                LogNotWritten(error.ToString(), TransactionalId, marker.Participant);
                return MarkerOutcome.Unknown;
        }
    }

    private async Task<bool> IsDeletedAsync(TransactionParticipant partition)
    {
        Guid present = (await _topics.FindIdsAsync([(partition.Name, partition.TopicId)]))[0];
        return present == Guid.Empty || (partition.TopicId != Guid.Empty && partition.TopicId != present);
    }

    [LoggerMessage(LogLevel.Information, "Coordinates transactions of {TransactionalId}, {State}, in coordinator epoch {Epoch}.")]
    private partial void LogCoordinating(string transactionalId, TransactionState state, int epoch);

    [LoggerMessage(LogLevel.Debug, "The end of a transaction of {TransactionalId} is told to {Participant} again: {Reason}")]
    private partial void LogNotWritten(string reason, string transactionalId, TransactionParticipant participant);
}
