namespace Arus.Storage;

/// <summary>Finds the bounds of batches that lie one behind the other.</summary>
internal static class BatchSlicing
{
    /// <summary>How many bytes of whole batches fit into <paramref name="maxBytes"/>.</summary>
    /// <param name="bytes">Begins with a batch that was validated, and ends anywhere.</param>
    /// <param name="nextOffset">The offset after the last of them; -1 when there is none.</param>
    /// <param name="endOffset">No batch that ends behind it is one of them.</param>
    public static int WholeBatches(
        ReadOnlySpan<byte> bytes, int maxBytes, bool minOneBatch, out long nextOffset, long endOffset = long.MaxValue)
    {
        int length = 0;
        nextOffset = -1;
        while (bytes.Length - length >= RecordBatchHeader.Size)
        {
            var header = new RecordBatchHeader(bytes[length..]);
            int size = header.SizeInBytes;
            bool fits = size <= maxBytes - length || (minOneBatch && length == 0);
            if (size > bytes.Length - length || !fits || header.NextOffset > endOffset)
                break;

            length += size;
            nextOffset = header.NextOffset;
        }

        return length;
    }

    /// <summary>Where the first batch begins that holds an offset or a later one; the end when there is none.</summary>
    /// <param name="position">Of a batch at or before it.</param>
    public static int PositionOf(ReadOnlySpan<byte> batches, long offset, int position = 0)
    {
        while (position < batches.Length && new RecordBatchHeader(batches[position..]) is var header && header.NextOffset <= offset)
            position += header.SizeInBytes;

        return position;
    }

    /// <summary>The batches that lie one behind the other.</summary>
    public static IEnumerable<ReadOnlyMemory<byte>> Split(ReadOnlyMemory<byte> batches)
    {
        while (RecordBatches.TryReadNext(ref batches, RecordBatches.MaxSizeLimit, out ReadOnlyMemory<byte> batch, out _)
            == BatchReadStatus.Batch)
        {
            yield return batch;
        }
    }
}
