using Arus.Compression;

namespace Arus.Storage;

/// <summary>Searches the records of stored batches by time, in memory that does not grow with the batch.</summary>
internal static class BatchTimestamps
{
    /// <summary>The first record at or behind an offset that is as late as a timestamp; null when the batch has none.</summary>
    /// <exception cref="LogException">The batch cannot be decompressed here; the message says why.</exception>
    public static LogTimestamp? FindFirst(ReadOnlyMemory<byte> batch, long timestamp, long fromOffset) =>
        Walk(batch.Span, new Search(new RecordBatchHeader(batch.Span), fromOffset, timestamp)).Found;

    /// <summary>The greatest timestamp of the records at or behind an offset; -1 when the batch has none.</summary>
    /// <exception cref="LogException">The batch cannot be decompressed here; the message says why.</exception>
    public static long MaxFrom(ReadOnlyMemory<byte> batch, long fromOffset) =>
        Walk(batch.Span, new Search(new RecordBatchHeader(batch.Span), fromOffset, wanted: null)).Greatest;

    private static Search Walk(ReadOnlySpan<byte> batch, Search search)
    {
        using var scratch = new PooledBufferWriter();
        ValidationResult result = RecordBatchPayload.Walk(batch, scratch, ref search);

        // Records that an older broker took in without a look may be malformed; those before them are there.
        return result.Error is ErrorCode.CorruptMessage or ErrorCode.MessageTooLarge or ErrorCode.UnsupportedCompressionType
            ? throw new LogException(
                $"The batch at offset {new RecordBatchHeader(batch).BaseOffset} cannot be searched: {result.Message}")
            : search;
    }

    /// <param name="wanted">Ends the walk at the first record that is as late; null to see them all.</param>
    private struct Search(RecordBatchHeader header, long fromOffset, long? wanted) : IRecordVisitor
    {
        private readonly long _baseOffset = header.BaseOffset;
        private readonly long _baseTimestamp = header.BaseTimestamp;
        private readonly int _leaderEpoch = header.PartitionLeaderEpoch;
        private readonly long? _logAppendTime = header.TimestampType == TimestampType.LogAppendTime ? header.MaxTimestamp : null;

        public LogTimestamp? Found { get; private set; }

        public long Greatest { get; private set; } = RecordBatchHeader.NoTimestamp;

        public bool Visit(int index, long timestampDelta, int offsetDelta, bool isKeyNull)
        {
            long offset = _baseOffset + offsetDelta;
            if (offset < fromOffset)
                return true;

            long timestamp = _logAppendTime ?? unchecked(_baseTimestamp + timestampDelta);
            Greatest = Math.Max(Greatest, timestamp);
            if (wanted is not { } least || timestamp < least)
                return true;

            Found = new LogTimestamp(offset, timestamp, _leaderEpoch);
            return false;
        }
    }
}
