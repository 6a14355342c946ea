namespace Arus.Storage;

/// <summary>What the leader writes into batches where they are appended; <see cref="BatchValidator"/> has corrected the rest.</summary>
internal static class BatchStamp
{
    /// <param name="logAppendTimeMs">Unix milliseconds under <c>message.timestamp.type=LogAppendTime</c>, otherwise null.</param>
    public static void Write(Memory<byte> batch, long baseOffset, int epoch, long? logAppendTimeMs)
    {
        Span<byte> bytes = batch.Span;
        RecordBatches.SetBaseOffset(bytes, baseOffset);
        RecordBatches.SetPartitionLeaderEpoch(bytes, epoch);
        if (logAppendTimeMs is { } time)
            RecordBatches.SetLogAppendTime(bytes, time);
    }
}
