using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <content>What the leader's answers mean for batches: settled, sent again, split, or failed.</content>
internal sealed partial class PartitionSender
{
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
        _sequence.BeginAnswer();
        bool goesOn = true;
        for (int i = 0; i < pending.Count; i++)
        {
            bool isTooLarge = i < count && response.Results[i].Error == ErrorCode.MessageTooLarge && pending[i].Count > 1;
            bool isSettled = i < count && !isTooLarge && SettleOne(pending[i], response.Results[i], attempt, again.Count);
            if (isSettled)
                continue;

            if (isTooLarge)
            {
                Split(pending[i], again);
                continue;
            }

            // Only the first one failed by itself; those after it may have been refused because of it.
            goesOn &= i >= count || again.Count > 0;
            again.Add(pending[i]);
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
        again.Add(first);
        again.Add(second);
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
                when core.Options.IsIdempotent && (follows || (attempt < core.Options.Retries && IsCertainlyMissing(batch))):
                // One before it is missing, or the leader has lost what it knew of this producer. The batch itself is not on the log: the
                // leader knows the last five, and no more are ever under way.
                if (!follows)
                    _sequence.BreakAt(before, isMissing: true);

                return false;
            case ErrorCode.NotEnoughReplicasAfterAppend or ErrorCode.RequestTimedOut:
                batch.MarkInDoubt();
                break;
        }

        if ((result.Error.IsRetriable() || result.Error == ErrorCode.UnknownTopicOrPartition) && attempt < core.Options.Retries)
        {
            _topicIsDoubtful |= result.Error == ErrorCode.UnknownTopicOrPartition;
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
