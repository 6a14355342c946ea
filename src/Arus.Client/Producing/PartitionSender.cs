using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <summary>
/// Sends batches to one partition, one call at a time, until each is answered. With idempotence every batch has a sequence, which
/// its repetitions keep, so that the leader recognises them.
/// </summary>
/// <remarks>
/// When a batch fails for good its sequence number is never written, and the leader would refuse what follows. The sender then
/// raises its epoch for this partition and counts from 0 again (KIP-360); the leader keeps producer state a partition, so partitions
/// need not agree on the epoch. A batch that is too large for the leader is halved, as often as it takes (KIP-126).
/// </remarks>
internal sealed partial class PartitionSender(ProducerCore core, TopicPartition partition)
{
    /// <summary>A leader remembers the last five batches of an idempotent producer; more under way could not be told from new ones.</summary>
    public const int MaxIdempotentBatches = 5;

    /// <summary>How much longer than <c>request.timeout.ms</c> an answer may take, before the call counts as lost.</summary>
    private static readonly TimeSpan ResponseGrace = TimeSpan.FromSeconds(5);

    private readonly IPartitionGrain grain = core.Grains.GetGrain<IPartitionGrain>(PartitionKey.Format(partition.Topic, partition.Partition));
    private long producerId = RecordBatchHeader.NoProducerId;
    private short producerEpoch;
    private int nextSequence;
    private bool isSequenceBroken;
    private bool topicIsDoubtful;

    /// <summary>Answers every batch, one way or the other, and never throws.</summary>
    public async Task SendAsync(List<ProducerBatch> batches)
    {
        List<ProducerBatch> pending = [.. batches];
        try
        {
            int attempt = 0;
            while (pending.Count > 0)
            {
                bool goesOn = await AttemptAsync(pending, attempt).ConfigureAwait(false);
                if (!goesOn && pending.Count > 0)
                {
                    attempt++;
                    await Task.Delay(core.Backoff(attempt), core.Time).ConfigureAwait(false);
                }
            }
        }
        catch (Exception e)
        {
            // A failure that no rule foresees, such as a codec's: these batches fail, later ones get their own chance.
            core.Logger.LogError(e, "Producing to {Partition} failed", partition);
            pending.ForEach(b => b.IsShared = true);
            ErrorCode code = e is ArusException known ? known.Code : ErrorCode.UnknownServerError;
            FailAll(pending, code, $"Producing to {partition} failed: {e.Message}", e);
        }
    }

    /// <summary>Sends what there is. False when what is to be sent again should wait a little.</summary>
    private async Task<bool> AttemptAsync(List<ProducerBatch> pending, int attempt)
    {
        Expire(pending);
        if (pending.Count == 0)
        {
            return true;
        }

        int count = await PrepareAsync(pending).ConfigureAwait(false);
        var entries = new ReadOnlyMemory<byte>[count];
        for (int i = 0; i < entries.Length; i++)
        {
            entries[i] = pending[i].ToBytes(core.Options.Compression);
            pending[i].WasSent = true;
        }

        var request = new PartitionAppend((short)core.Options.Acks, (int)core.Options.RequestTimeout.TotalMilliseconds, entries);
        long start = core.Time.GetTimestamp();
        bool goesOn = false;
        try
        {
            Task<PartitionAppendResult> call = grain.AppendAsync(request);
            if (core.Options.Acks == Acks.None)
            {
                SucceedUnseen(pending);
            }

            // Should the call be under way still when it is repeated, then the sequence keeps it from taking effect twice.
            PartitionAppendResult response =
                await call.WaitAsync(core.Options.RequestTimeout + ResponseGrace, core.Time).ConfigureAwait(false);
            ClientDiagnostics.RecordSend(partition, core.Time.GetElapsedTime(start), error: null);
            goesOn = Settle(pending, count, response, attempt);
        }
        catch (Exception e) when (GrainRetry.IsTransient(e))
        {
            ClientDiagnostics.RecordSend(partition, core.Time.GetElapsedTime(start), e.GetType().Name);
            core.Logger.LogDebug(e, "Appending to {Partition} failed, attempt {Attempt}", partition, attempt + 1);
            pending.GetRange(0, Math.Min(count, pending.Count)).ForEach(b => b.IsShared = true);
            if (attempt >= core.Options.Retries)
            {
                FailAll(pending, ErrorCode.RequestTimedOut, $"Producing to {partition} failed after {attempt + 1} attempts: {e.Message}", e);
            }
        }

        await CheckTopicAsync(pending).ConfigureAwait(false);
        return goesOn;
    }

    /// <summary>With acks=0 nobody looks at the answer; it still is awaited, because it keeps the order.</summary>
    private void SucceedUnseen(List<ProducerBatch> pending)
    {
        foreach (ProducerBatch batch in pending)
        {
            batch.IsShared = true;
            Finish(batch);
            batch.Outcome.Succeed(-1, -1);
        }

        pending.Clear();
    }

    /// <summary>Gives batches their sequences, and answers how many of them may be sent now.</summary>
    private async ValueTask<int> PrepareAsync(List<ProducerBatch> pending)
    {
        if (!core.Options.IsIdempotent)
        {
            return pending.Count;
        }

        if (isSequenceBroken)
        {
            // What was sent before the break may be on the log, and is settled under its old sequence first.
            int before = pending.FindIndex(b => !b.HasSequence);
            if (before != 0 && pending.Count > 0)
            {
                return before < 0 ? CountForCall(pending) : Math.Min(before, CountForCall(pending));
            }

            producerEpoch++;
            nextSequence = 0;
            isSequenceBroken = false;
        }

        if (producerId < 0 || producerEpoch < 0)
        {
            producerId = await core.AllocateProducerIdAsync(fresh: producerEpoch < 0).ConfigureAwait(false);
            producerEpoch = 0;
        }

        foreach (ProducerBatch batch in pending.Where(b => !b.HasSequence))
        {
            batch.SetSequence(core.Options.Compression, producerId, producerEpoch, nextSequence);
            nextSequence = ProducerSequence.Add(nextSequence, batch.Count);
        }

        return CountForCall(pending);
    }

    /// <summary>
    /// Batches that were split can make more than the leader remembers. So what was sent already is settled first, without others
    /// behind it that would make the leader forget it.
    /// </summary>
    private static int CountForCall(List<ProducerBatch> pending)
    {
        int unsent = pending.FindIndex(b => !b.WasSent);
        return Math.Min(unsent > 0 ? unsent : pending.Count, MaxIdempotentBatches);
    }

    /// <summary>Topics are created and deleted by one grain, so one look tells whether waiting is of any use.</summary>
    private async ValueTask CheckTopicAsync(List<ProducerBatch> pending)
    {
        if (!topicIsDoubtful)
        {
            return;
        }

        topicIsDoubtful = false;
        TopicDescription? topic = await core.Topics.ReadAsync(partition.Topic, CancellationToken.None).ConfigureAwait(false);
        if (topic is null || topic.Partitions.Length <= partition.Partition)
        {
            FailAll(pending, ErrorCode.UnknownTopicOrPartition, $"There is no partition {partition}; was the topic deleted?", cause: null);
        }
    }

    private void Expire(List<ProducerBatch> pending)
    {
        bool anyExpired = pending.Exists(IsExpired);
        if (!anyExpired)
        {
            return;
        }

        // Batches whose fate is not known fail with it: given a new sequence, they might be appended a second time.
        foreach (ProducerBatch batch in pending.Where(b => IsExpired(b) || b.MayHaveBeenAppended).ToArray())
        {
            pending.Remove(batch);
            Fail(
                batch, ErrorCode.RequestTimedOut,
                $"A batch for {partition} was not acknowledged within delivery.timeout.ms ({core.Options.DeliveryTimeout.TotalMilliseconds:0}).", cause: null);
        }

        if (isSequenceBroken)
        {
            pending.ForEach(b => b.ForgetSequence());
        }
    }

    private bool IsExpired(ProducerBatch batch) => core.Time.GetElapsedTime(batch.CreatedAt) >= core.Options.DeliveryTimeout;
}
