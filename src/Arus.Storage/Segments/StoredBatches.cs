namespace Arus.Storage;

/// <summary>
/// What a batch must be that lies in a segment. Its CRC covers neither the base offset nor the length nor the leader epoch, so that
/// damage there shows only in what lies around it.
/// </summary>
internal static class StoredBatches
{
    /// <summary>Whether a header can be that of a batch at a position of a segment.</summary>
    /// <param name="header">Of bytes that may be anything.</param>
    /// <param name="room">The segment's bytes from the position on.</param>
    /// <param name="minOffset">No batch here begins before it.</param>
    /// <param name="endOffset">No batch here ends after it.</param>
    public static bool IsPlausible(RecordBatchHeader header, long room, long minOffset, long endOffset) =>
        header.Magic == RecordBatchHeader.CurrentMagic
        && header.Length >= RecordBatchHeader.Size - RecordBatchHeader.LogOverhead
        && header.Length <= room - RecordBatchHeader.LogOverhead
        && header.LastOffsetDelta >= 0 && header.BaseOffset >= minOffset && header.BaseOffset < endOffset - header.LastOffsetDelta;

    /// <summary>The base offset of the batch at a position.</summary>
    public static long BaseOffsetAt(SharedFile file, long position)
    {
        Span<byte> header = stackalloc byte[RecordBatchHeader.Size];
        header.Clear();
        file.Read(position, header);
        return new RecordBatchHeader(header).BaseOffset;
    }

    /// <param name="offset">The first offset that cannot be read there.</param>
    public static LogException Damaged(string path, long position, long offset) =>
        new(
            $"{path} is damaged at byte {position} (offset {offset}). Consumers stop there until they seek behind it. Restore the file "
            + $"from a copy; or stop the broker and delete {Path.ChangeExtension(path, Segment.IndexSuffix)}: the next start reads the "
            + "file, sets the damaged bytes aside and serves all that is intact.",
            error: ErrorCode.CorruptMessage);
}
