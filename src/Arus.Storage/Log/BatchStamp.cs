namespace Arus.Storage;

/// <summary>What the leader writes into the batches of others.</summary>
internal static class BatchStamp
{
    /// <param name="logAppendTimeMs">Unix milliseconds under <c>message.timestamp.type=LogAppendTime</c>, otherwise null.</param>
    public static void Write(Memory<byte> batch, long baseOffset, int epoch, AppendOrigin origin, long? logAppendTimeMs)
    {
        Span<byte> bytes = batch.Span;
        RecordBatches.SetBaseOffset(bytes, baseOffset);
        RecordBatches.SetPartitionLeaderEpoch(bytes, epoch);
        if (logAppendTimeMs is { } time)
        {
            RecordBatches.SetLogAppendTime(bytes, time);
        }
        else if (origin == AppendOrigin.Client && new RecordBatchHeader(bytes) is var header && header.MaxTimestamp < header.BaseTimestamp)
        {
            // Some producers leave the field unset (sarama 1.22); without it the records could not be found by time.
            RecordBatches.SetMaxTimestamp(bytes, BatchTimestamps.Max(batch));
        }
    }
}
