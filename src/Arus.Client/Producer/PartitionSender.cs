using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <summary>
/// Sends batches to one partition, one call at a time, until each is answered. With idempotence every batch has a sequence number, which
/// its repetitions keep, so that the leader recognises them.
/// </summary>
/// <remarks>A batch that is too large for the leader is halved, as often as it takes (KIP-126).</remarks>
internal sealed class PartitionSender(ProducerCore core, TopicPartition partition)
{
    /// <summary>How much longer than <c>request.timeout.ms</c> an answer may take, before the call counts as lost.</summary>
    private static readonly TimeSpan ResponseGrace = TimeSpan.FromSeconds(5);

    private readonly IPartitionGrain _grain = core.Grains.GetGrain<IPartitionGrain>(
        PartitionKey.Format(partition.Topic, partition.Partition));
    private readonly PartitionSequence _sequence = new();
    private bool _topicIsDoubtful;
    private bool _isConcurrent;

    /// <summary>Completes the outcome of every batch, and never throws.</summary>
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
                    TimeSpan pause = _isConcurrent ? TransactionManager.ConcurrentPause : core.Backoff.Of(attempt);
                    await Task.Delay(pause, core.Time).ConfigureAwait(false);
                }
            }
        }
        catch (Exception e)
        {
            // A failure that no rule foresees, such as a codec's: these batches fail, later ones get their own chance.
            core.Logger.LogError(e, "Producing to {Partition} failed", partition);
            pending.ForEach(b => b.MarkUnanswered());
            ErrorCode code = e is ArusException known ? known.Code : ErrorCode.UnknownServerError;
            FailAll(pending, code, $"Producing to {partition} failed: {e.Message}", e);
        }
    }

    /// <summary>Sends what there is. False when what is to be sent again should wait a little.</summary>
    private async Task<bool> AttemptAsync(List<ProducerBatch> pending, int attempt)
    {
        Expire(pending);
        if (pending.Count > 0 && core.Transactions?.BeginSend() is { } refusal)
            FailAll(pending, refusal.Code, refusal.Message, refusal);

        if (pending.Count == 0)
            return true;

        int count = await PrepareAsync(pending).ConfigureAwait(false);
        var entries = new ReadOnlyMemory<byte>[count];
        for (int i = 0; i < entries.Length; i++)
        {
            entries[i] = pending[i].ToBytes(core.Options.Compression);
            pending[i].MarkSent();
        }

        var request = new PartitionAppend(
            (short)core.Options.Acks, (int)core.Options.RequestTimeout.TotalMilliseconds, entries, core.Topics.IdOf(partition.Topic),
            core.Transactions?.OfAppends);
        long start = core.Time.GetTimestamp();
        bool goesOn = false;
        try
        {
            // Should the call be under way still when it is repeated, then the sequence keeps it from taking effect twice.
            PartitionAppendResult response = await core.Losses.CallAsync(
                _ => Append(request, pending), core.Options.RequestTimeout + ResponseGrace, CancellationToken.None).ConfigureAwait(false);
            ClientDiagnostics.RecordSend(partition, core.Time.GetElapsedTime(start), error: null);
            goesOn = Settle(pending, count, response, attempt);
        }
        catch (Exception e) when (GrainRetry.IsTransient(e))
        {
            ClientDiagnostics.RecordSend(partition, core.Time.GetElapsedTime(start), e.GetType().Name);
            core.Logger.LogDebug(e, "Appending to {Partition} failed, attempt {Attempt}", partition, attempt + 1);
            pending.GetRange(0, Math.Min(count, pending.Count)).ForEach(b => b.MarkUnanswered());
            if (attempt >= core.Options.Retries)
            {
                FailAll(
                    pending, ErrorCode.RequestTimedOut, $"Producing to {partition} failed after {attempt + 1} attempts: {e.Message}", e);
            }
        }

        await CheckTopicAsync(pending).ConfigureAwait(false);
        return goesOn;
    }

    private Task<PartitionAppendResult> Append(PartitionAppend request, List<ProducerBatch> pending)
    {
        Task<PartitionAppendResult> call = _grain.AppendAsync(request);
        if (core.Options.Acks == Acks.None)
            SucceedUnseen(pending);

        return call;
    }

    /// <summary>With acks=0 the answer does not matter; it is awaited, because that keeps the order.</summary>
    private void SucceedUnseen(List<ProducerBatch> pending)
    {
        foreach (ProducerBatch batch in pending)
        {
            batch.MarkUnanswered();
            Finish(batch);
            batch.Outcome.Succeed(-1, -1);
        }

        pending.Clear();
    }

    /// <summary>Gives batches their sequences, and answers how many of them may be sent now.</summary>
    private async ValueTask<int> PrepareAsync(List<ProducerBatch> pending)
    {
        if (!core.Options.IsIdempotent)
            return pending.Count;

        core.Transactions?.SetProducer(_sequence);
        if (!_sequence.TryGoOn(pending, out int count))
            return count;

        if (_sequence.NeedsProducerId)
            _sequence.SetProducerId(await core.AllocateProducerIdAsync(fresh: _sequence.IsExhausted).ConfigureAwait(false));

        return _sequence.Assign(pending, core.Options.Compression);
    }

    /// <summary>Topics are created and deleted by one grain, so one look tells whether waiting is of any use.</summary>
    private async ValueTask CheckTopicAsync(List<ProducerBatch> pending)
    {
        if (!_topicIsDoubtful)
            return;

        _topicIsDoubtful = false;
        Grains.TopicDescription? topic = await core.Topics.ReadAsync(partition.Topic, CancellationToken.None).ConfigureAwait(false);
        if (topic is null || topic.Partitions.Length <= partition.Partition)
            FailAll(pending, ErrorCode.UnknownTopicOrPartition, $"There is no partition {partition}; was the topic deleted?", cause: null);
    }

    private void Expire(List<ProducerBatch> pending)
    {
        if (!pending.Exists(IsExpired))
            return;

        // Batches whose fate is not known fail with it: given a new sequence, they might be appended a second time.
        foreach (ProducerBatch batch in pending.Where(b => IsExpired(b) || b.MayHaveBeenAppended).ToArray())
        {
            pending.Remove(batch);
            Fail(
                batch, ErrorCode.RequestTimedOut,
                $"A batch for {partition} was not acknowledged within delivery.timeout.ms"
                + $" ({core.Options.DeliveryTimeout.TotalMilliseconds:0}).",
                cause: null);
        }

        if (_sequence.IsBroken)
            pending.ForEach(b => b.ForgetSequence());
    }

    private bool IsExpired(ProducerBatch batch) => core.Time.GetElapsedTime(batch.CreatedAt) >= core.Options.DeliveryTimeout;

    /// <summary>Leaves what is to be sent again. False when that should wait a little.</summary>
    private bool Settle(List<ProducerBatch> pending, int count, PartitionAppendResult response, int attempt)
    {
        if (core.Options.Acks == Acks.None)
            return true;

        if (response.Results.Length != count)
        {
            throw new ArusException(
                ErrorCode.UnknownServerError, $"The leader of {partition} gave {response.Results.Length} answers to {count} batches.");
        }

        var again = new List<ProducerBatch>();
        _isConcurrent = Array.Exists(response.Results, result => result.Error == ErrorCode.ConcurrentTransactions);
        _sequence.BeginAnswer();
        bool goesOn = true;
        for (int i = 0; i < pending.Count; i++)
        {
            if (i < count && response.Results[i].Error == ErrorCode.MessageTooLarge && pending[i].Count > 1)
            {
                Split(pending[i], again);
            }
            else if (i >= count || !SettleOne(pending[i], response.Results[i], attempt, again.Count))
            {
                // Only the first one failed by itself; those after it may have been refused because of it.
                goesOn &= i >= count || again.Count > 0;
                again.Add(pending[i]);
            }
        }

        _sequence.EndAnswer(again);
        pending.Clear();
        pending.AddRange(again);
        return goesOn;
    }

    /// <summary>Puts two halves where a batch was that the leader takes for too large.</summary>
    private void Split(ProducerBatch batch, List<ProducerBatch> again)
    {
        core.Logger.LogDebug(
            "The leader of {Partition} takes a batch of {Count} records for too large; it is split", partition, batch.Count);
        (ProducerBatch first, ProducerBatch second) = batch.Split(core);
        again.AddRange(first, second);
        ReturnBuilder(batch);
    }

    /// <summary>False when the batch is to be sent again.</summary>
    /// <param name="before">How many batches before it are to be sent again.</param>
    private bool SettleOne(ProducerBatch batch, in AppendEntryResult result, int attempt, int before)
    {
        bool follows = before > 0;
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
                when core.Options.IsIdempotent
                    && (follows || (core.Transactions is null && attempt < core.Options.Retries && IsCertainlyMissing(batch))):
                // One before it is missing, or the leader has lost what it knew of this producer. The batch itself is not on the log: the
                // leader knows the last five, and no more are ever under way.
                if (!follows)
                    _sequence.BreakAt(before, isMissing: true);

                return false;
            case ErrorCode.NotEnoughReplicasAfterAppend or ErrorCode.RequestTimedOut:
                batch.MarkInDoubt();
                break;
        }

        bool isTopicGone = result.Error is ErrorCode.UnknownTopicOrPartition or ErrorCode.UnknownTopicId;
        if ((result.Error.IsRetriable() || isTopicGone) && attempt < core.Options.Retries)
        {
            _topicIsDoubtful |= isTopicGone;
            return false;
        }

        if (batch.HasSequence)
            _sequence.BreakAt(before, isMissing: !batch.MayHaveBeenAppended);

        Fail(batch, result.Error, result.Message ?? $"The leader of {partition} refused a batch: {result.Error}.", cause: null);
        return true;
    }

    private void FailAll(List<ProducerBatch> pending, ErrorCode code, string message, Exception? cause)
    {
        foreach (ProducerBatch batch in pending)
            Fail(batch, code, message, cause);

        pending.Clear();
    }

    private void Succeed(ProducerBatch batch, long baseOffset, long logAppendTimeMs)
    {
        int count = batch.Count;
        _sequence.Accept();
        Finish(batch);
        ClientDiagnostics.RecordSent(partition, count);
        batch.Outcome.Succeed(baseOffset, logAppendTimeMs);
    }

    private void Fail(ProducerBatch batch, ErrorCode code, string message, Exception? cause)
    {
        if (batch.HasSequence)
            _sequence.Break();

        core.Transactions?.NoteSendFailure(code, message);
        Finish(batch);
        batch.Outcome.Fail(code, message, batch.MayHaveBeenAppended, cause);
    }

    private void Finish(ProducerBatch batch)
    {
        core.Budget.Release(batch.ReservedBytes);
        ReturnBuilder(batch);
    }

    private void ReturnBuilder(ProducerBatch batch)
    {
        if (batch.IsMemoryFree)
            core.ReturnBuilder(batch.Builder);
    }

    /// <summary>A refused sequence number means that the batch is not on the log, unless it is a part of a batch that may be.</summary>
    private bool IsCertainlyMissing(ProducerBatch batch) => _sequence.IsMissing || batch.State != BatchState.PartInDoubt;
}
