namespace Arus.Storage.Rows;

/// <summary>The batches of a row, one behind the other.</summary>
internal static class RowBatches
{
    public static IEnumerable<ReadOnlyMemory<byte>> Of(ReadOnlyMemory<byte> batches)
    {
        while (RecordBatches.TryReadNext(ref batches, RecordBatches.MaxSizeLimit, out ReadOnlyMemory<byte> batch, out _)
            == BatchReadStatus.Batch)
        {
            yield return batch;
        }
    }

    /// <summary>Where the first batch begins that holds an offset or a later one.</summary>
    public static int PositionOf(ReadOnlySpan<byte> batches, long offset)
    {
        int position = 0;
        while (position < batches.Length && new RecordBatchHeader(batches[position..]) is var header && header.NextOffset <= offset)
            position += header.SizeInBytes;

        return position;
    }
}
