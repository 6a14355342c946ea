using Arus.Coordination.Tests.Groups;

namespace Arus.Coordination.Tests.Transactions;

/// <summary>
/// Lives of a transactional producer, one after the other: each initializes, has some transactions, and ends, perhaps in the middle of one.
/// Another producer of the same id lives at the same time.
/// </summary>
internal sealed class SimulatedProducer(TransactionSimulation simulation, string name)
{
    private const int MaxAttempts = 60;

    /// <summary>
    /// A record that is given up leaves its transaction to be aborted, and the next one may begin while the record is under way.
    /// </summary>
    private const int AppendAttempts = 2;

    private long _id;
    private short _epoch;
    private short _version;

    private SimulatedWorld World => simulation.World;

    public async Task RunAsync()
    {
        while (simulation.IsInTrouble)
        {
            await World.Delay(World.Random.Next(1, 4_000));
            _version = (short)(World.Chance(0.5) ? 2 : 0);
            if (!await InitializeAsync())
                continue;

            for (int i = World.Random.Next(1, 8); i > 0 && await TransactAsync(); i--)
                await World.Delay(World.Random.Next(1, 300));
        }
    }

    private async Task<bool> InitializeAsync()
    {
        for (int attempt = 0; attempt < MaxAttempts; attempt++)
        {
            SimulatedAnswer? answer = await simulation.CallAsync(
                () => simulation.InitializeAsync(), mayBeLate: _version >= 2, mayBeDoubled: _version >= 2);
            if (answer is { Error: ErrorCode.None })
            {
                (_id, _epoch) = (answer.ProducerId, answer.ProducerEpoch);
                World.Note($"{name} is {_id}:{_epoch} with version {_version}");
                return true;
            }

            await World.Delay(50);
        }

        return false;
    }

    /// <returns>Whether the producer goes on.</returns>
    private async Task<bool> TransactAsync()
    {
        int transaction = simulation.NextTransaction();
        SimulatedParticipant[] participants = [.. simulation.Participants.Where(_ => World.Chance(0.6))];
        bool isWhole = participants.Length > 0;
        foreach (SimulatedParticipant participant in participants)
        {
            if (World.Chance(0.02))
            {
                World.Note($"{name} dies");
                return false;
            }

            SimulatedRecord[] records = [.. Enumerable.Range(0, World.Random.Next(1, 3)).Select(i => new SimulatedRecord(transaction, i))];
            ErrorCode error = await AppendAsync(participant, records);
            if (IsFatal(error))
                return false;

            isWhole &= error == ErrorCode.None;
        }

        return World.Chance(0.97) && await EndAsync(transaction, isWhole && World.Chance(0.7), participants.Length > 0);
    }

    private async Task<ErrorCode> AppendAsync(SimulatedParticipant participant, SimulatedRecord[] records)
    {
        // What comes late is of the producer as it was.
        (long id, short epoch, short version) = (_id, _epoch, _version);
        ErrorCode error = version >= 2
            ? ErrorCode.None
            : await RetryAsync(() => simulation.AddAsync(id, epoch, participant.Name));
        foreach (SimulatedRecord record in records)
        {
            if (error == ErrorCode.None)
                error = await RetryAsync(() => participant.AppendAsync(id, epoch, record, version), AppendAttempts);

            if (error == ErrorCode.None)
                simulation.Acknowledge(record, participant);
        }

        return error;
    }

    private async Task<bool> EndAsync(int transaction, bool commit, bool hasParticipants)
    {
        if (!hasParticipants && _version < 2)
            return true;

        (long id, short epoch, short version) = (_id, _epoch, _version);
        ErrorCode error = await RetryAsync(
            () => simulation.EndAsync(id, epoch, commit, version),
            onSuccess: answer => (_id, _epoch) = (answer.ProducerId, answer.ProducerEpoch));
        if (error == ErrorCode.None)
            simulation.NoteDecision(transaction, commit);

        return error == ErrorCode.None;
    }

    /// <summary>Asks until it is answered; <see cref="ErrorCode.RequestTimedOut"/> when it gives up.</summary>
    private async Task<ErrorCode> RetryAsync(
        Func<Task<SimulatedAnswer?>> ask, int attempts = MaxAttempts, Action<SimulatedAnswer>? onSuccess = null)
    {
        // A request of version 1 that comes after the producer has given it up may be taken for one of its next transaction: nothing but
        // the connection keeps it from that.
        for (int attempt = 0; attempt < attempts; attempt++)
        {
            SimulatedAnswer? answer = await simulation.CallAsync(ask, mayBeLate: _version >= 2, mayBeDoubled: _version >= 2);
            if (answer is not (null or { Error: ErrorCode.ConcurrentTransactions or ErrorCode.NotCoordinator }))
            {
                if (answer.Error == ErrorCode.None)
                    onSuccess?.Invoke(answer);

                return answer.Error;
            }

            await World.Delay(20);
        }

        return ErrorCode.RequestTimedOut;
    }

    private static bool IsFatal(ErrorCode error) => error is ErrorCode.ProducerFenced or ErrorCode.InvalidProducerEpoch
        or ErrorCode.InvalidProducerIdMapping;
}
