namespace Arus.Storage;

internal static class BatchSlicing
{
    /// <summary>How many bytes of whole batches fit into <paramref name="maxBytes"/>.</summary>
    /// <param name="bytes">Begins with a batch that was validated, and ends anywhere.</param>
    public static int WholeBatches(ReadOnlySpan<byte> bytes, int maxBytes, bool minOneBatch) =>
        WholeBatches(bytes, maxBytes, minOneBatch, out _);

    /// <param name="nextOffset">The offset after the last of them; -1 when there is none.</param>
    public static int WholeBatches(ReadOnlySpan<byte> bytes, int maxBytes, bool minOneBatch, out long nextOffset)
    {
        int length = 0;
        nextOffset = -1;
        while (bytes.Length - length >= RecordBatchHeader.Size)
        {
            var header = new RecordBatchHeader(bytes[length..]);
            int size = header.SizeInBytes;
            if (size > bytes.Length - length || (size > maxBytes - length && !(minOneBatch && length == 0)))
                break;

            length += size;
            nextOffset = header.NextOffset;
        }

        return length;
    }
}
