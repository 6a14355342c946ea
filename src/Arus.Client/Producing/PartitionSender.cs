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
/// need not agree on the epoch.
/// </remarks>
internal sealed class PartitionSender(ProducerCore core, TopicPartition partition)
{
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
            for (int attempt = 0; pending.Count > 0; attempt++)
            {
                if (attempt > 0)
                {
                    await Task.Delay(core.Backoff(attempt), core.Time).ConfigureAwait(false);
                }

                await AttemptAsync(pending, attempt).ConfigureAwait(false);
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

    private async Task AttemptAsync(List<ProducerBatch> pending, int attempt)
    {
        Expire(pending);
        if (pending.Count == 0)
        {
            return;
        }

        int count = await PrepareAsync(pending).ConfigureAwait(false);
        var entries = new AppendEntry[count];
        for (int i = 0; i < entries.Length; i++)
        {
            entries[i] = new AppendEntry(pending[i].ToBytes(core.Options.Compression));
        }

        var request = new AppendRequest((short)core.Options.Acks, (int)core.Options.RequestTimeout.TotalMilliseconds, entries);
        long start = core.Time.GetTimestamp();
        try
        {
            Task<AppendResponse> call = grain.AppendAsync(request);
            if (core.Options.Acks == Acks.None)
            {
                SucceedUnseen(pending);
            }

            // Should the call be under way still when it is repeated, then the sequence keeps it from taking effect twice.
            AppendResponse response =
                await call.WaitAsync(core.Options.RequestTimeout + ResponseGrace, core.Time).ConfigureAwait(false);
            ClientDiagnostics.RecordSend(partition, core.Time.GetElapsedTime(start), error: null);
            Settle(pending, count, response, attempt);
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
                return before < 0 ? pending.Count : before;
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

        return pending.Count;
    }

    private void Settle(List<ProducerBatch> pending, int count, AppendResponse response, int attempt)
    {
        if (core.Options.Acks == Acks.None)
        {
            return;
        }

        if (response.Results.Length != count)
        {
            throw new ArusException(
                ErrorCode.UnknownServerError, $"The leader of {partition} gave {response.Results.Length} answers to {count} batches.");
        }

        var again = new List<ProducerBatch>();
        bool isBroken = false;
        for (int i = 0; i < pending.Count; i++)
        {
            bool isSettled = i < count && SettleOne(pending[i], response.Results[i], attempt, follows: again.Count > 0, ref isBroken);
            if (!isSettled)
            {
                again.Add(pending[i]);
                if (isBroken)
                {
                    // What comes after a batch that is not on the log is not there either: no sequence lets it pass.
                    pending[i].ForgetSequence();
                }
            }
        }

        isSequenceBroken |= isBroken;
        pending.Clear();
        pending.AddRange(again);
    }

    /// <summary>False when the batch is to be sent again.</summary>
    /// <param name="follows">A batch before it is to be sent again.</param>
    /// <param name="isBroken">Set when the sequence cannot go on: this batch is not on the log, and those after it are not.</param>
    private bool SettleOne(ProducerBatch batch, in AppendResult result, int attempt, bool follows, ref bool isBroken)
    {
        switch (result.Error)
        {
            case ErrorCode.None:
                Succeed(batch, result.BaseOffset, result.LogAppendTimeMs);
                return true;
            case ErrorCode.DuplicateSequenceNumber:
                // On the log from an earlier attempt, and too long ago for the leader to remember where.
                Succeed(batch, -1, -1);
                return true;
            case ErrorCode.OutOfOrderSequenceNumber or ErrorCode.UnknownProducerId or ErrorCode.InvalidProducerEpoch
                when core.Options.IsIdempotent && attempt < core.Options.Retries:
                // One before it is missing, or the leader has lost what it knew of this producer. The batch itself is not on the log: the
                // leader knows the last five, and no more are ever under way.
                isBroken |= !follows;
                return false;
            case ErrorCode.NotEnoughReplicasAfterAppend or ErrorCode.RequestTimedOut:
                batch.MayHaveBeenAppended = true;
                break;
        }

        if ((result.Error.IsRetriable() || result.Error == ErrorCode.UnknownTopicOrPartition) && attempt < core.Options.Retries)
        {
            topicIsDoubtful |= result.Error == ErrorCode.UnknownTopicOrPartition;
            return false;
        }

        isBroken |= batch.HasSequence;
        Fail(batch, result.Error, result.Message ?? $"The leader of {partition} refused a batch: {result.Error}.", cause: null);
        return true;
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

    private void FailAll(List<ProducerBatch> pending, ErrorCode code, string message, Exception? cause)
    {
        foreach (ProducerBatch batch in pending)
        {
            Fail(batch, code, message, cause);
        }

        pending.Clear();
    }

    private void Succeed(ProducerBatch batch, long baseOffset, long logAppendTimeMs)
    {
        int count = batch.Count;
        Finish(batch);
        ClientDiagnostics.RecordSent(partition, count);
        batch.Outcome.Succeed(baseOffset, logAppendTimeMs);
    }

    private void Fail(ProducerBatch batch, ErrorCode code, string message, Exception? cause)
    {
        isSequenceBroken |= batch.HasSequence;
        Finish(batch);
        batch.Outcome.Fail(code, message, batch.MayHaveBeenAppended, cause);
    }

    private void Finish(ProducerBatch batch)
    {
        core.Budget.Release(batch.ReservedBytes);
        if (!batch.IsShared)
        {
            core.ReturnBuilder(batch.Builder);
        }
    }
}
