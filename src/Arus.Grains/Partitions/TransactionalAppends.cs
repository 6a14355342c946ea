using Arus.Storage;

namespace Arus.Grains;

/// <summary>Asks the coordinator of a transaction whether the partition takes part in it, or makes it do so (KIP-890).</summary>
/// <returns>What the producer is answered; <see cref="ErrorCode.None"/> when it may begin the transaction here.</returns>
internal delegate Task<ErrorCode> VerifyTransaction(AppendTransaction transaction, long producerId, short producerEpoch);

/// <summary>
/// Appends batches of producers with a transactional id. The batch that begins a transaction here waits until the coordinator has confirmed
/// it; what the producer sends meanwhile waits behind it, and other producers do not. Thread-safe.
/// </summary>
internal sealed class TransactionalAppends(IPartitionLog log, int leaderEpoch, VerifyTransaction? verify)
{
    private readonly Lock _lock = new();

    /// <summary>Of each transactional id the append that is the last to reach the log; only as long as it has not.</summary>
    private readonly Dictionary<string, Task> _last = new(StringComparer.Ordinal);

    /// <summary>What needs no coordinator is given to the log before the first wait.</summary>
    public async Task<LogAppendResult[]> AppendAsync(AppendTransaction transaction, ReadOnlyMemory<byte>[] entries)
    {
        var entered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Task before;
        lock (_lock)
        {
            before = _last.GetValueOrDefault(transaction.TransactionalId, Task.CompletedTask);
            _last[transaction.TransactionalId] = entered.Task;
        }

        List<(int First, int Count, ValueTask<LogAppendResult[]> Append)> appends = [];
        try
        {
            await before;
            for (int first = 0; first < entries.Length;)
            {
                int count = CountOfOneProducer(entries.AsSpan(first));
                appends.Add((first, count, await EnterAsync(transaction, entries[first..(first + count)])));
                first += count;
            }
        }
        finally
        {
            lock (_lock)
            {
                if (_last[transaction.TransactionalId] == entered.Task)
                    _last.Remove(transaction.TransactionalId);
            }

            entered.SetResult();
        }

        var results = new LogAppendResult[entries.Length];
        foreach ((int first, int count, ValueTask<LogAppendResult[]> append) in appends)
            (await append).CopyTo(results.AsSpan(first, count));

        return results;
    }

    /// <summary>Hands batches of one producer to the log, once its coordinator has been asked.</summary>
    /// <returns>The append, which has its place in the log.</returns>
    private async ValueTask<ValueTask<LogAppendResult[]>> EnterAsync(AppendTransaction transaction, ReadOnlyMemory<byte>[] entries)
    {
        VerificationGuard? guard = null;
        if (Array.FindIndex(entries, entry => TryGetProducer(entry, out _)) is var first and >= 0)
        {
            TryGetProducer(entries[first], out (long Id, short Epoch, int Sequence) producer);
            guard = await TryBeginAsync(producer, beginsAtZero: transaction.Support == TransactionSupport.Added);
            ErrorCode refusal = guard is null || verify is null ? ErrorCode.None
                : await verify(transaction, producer.Id, producer.Epoch);
            if (refusal != ErrorCode.None)
                return new ValueTask<LogAppendResult[]>(RefuseAsync(entries, refusal));
        }

        return log.AppendAsync(entries, leaderEpoch, guard: guard);
    }

    /// <summary>Without a guard where the log is closed or has failed: the append is refused for that.</summary>
    private async ValueTask<VerificationGuard?> TryBeginAsync((long Id, short Epoch, int Sequence) producer, bool beginsAtZero)
    {
        try
        {
            return await log.BeginVerificationAsync(producer.Id, producer.Epoch, producer.Sequence, beginsAtZero);
        }
        catch (LogException)
        {
            return null;
        }
    }

    /// <summary>Refuses the transactional batches; the others have nothing to do with the transaction.</summary>
    private async Task<LogAppendResult[]> RefuseAsync(ReadOnlyMemory<byte>[] entries, ErrorCode refusal)
    {
        ReadOnlyMemory<byte>[] others = Array.FindAll(entries, entry => !TryGetProducer(entry, out _));
        LogAppendResult[] appended = await log.AppendAsync(others, leaderEpoch);
        int next = 0;
        return Array.ConvertAll(entries, entry => TryGetProducer(entry, out _)
            ? LogAppendResult.Refused(refusal, $"The coordinator of the transaction answers {refusal}.")
            : appended[next++]);
    }

    private static int CountOfOneProducer(ReadOnlySpan<ReadOnlyMemory<byte>> entries)
    {
        (long, short)? only = null;
        for (int i = 0; i < entries.Length; i++)
        {
            if (!TryGetProducer(entries[i], out (long Id, short Epoch, int Sequence) producer))
                continue;

            if (only is not null && only != (producer.Id, producer.Epoch))
                return i;

            only = (producer.Id, producer.Epoch);
        }

        return entries.Length;
    }

    /// <summary>False for a batch that is not transactional. The log has not looked at it yet: it may be anything.</summary>
    private static bool TryGetProducer(ReadOnlyMemory<byte> entry, out (long Id, short Epoch, int Sequence) producer)
    {
        producer = default;
        if (entry.Length < RecordBatchHeader.Size)
            return false;

        var header = new RecordBatchHeader(entry.Span);
        producer = (header.ProducerId, header.ProducerEpoch, header.BaseSequence);
        return header.IsTransactional && header.HasProducerId;
    }
}
