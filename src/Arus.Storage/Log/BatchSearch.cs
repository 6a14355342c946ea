using System.Buffers;

namespace Arus.Storage;

/// <summary>Finds the next intact batch behind bytes of a file that are none.</summary>
/// <param name="end">Where the file ends.</param>
internal sealed class BatchSearch(SharedFile file, long end)
{
    private const int WindowBytes = 256 * 1024;

    /// <summary>
    /// Bytes that may look like batches are checked by their CRC up to so many times the size of what is searched. Only records made to
    /// look like many large batches come to that.
    /// </summary>
    private const int MaxChecks = 8;

    private long _toCheck = long.MaxValue / 2;

    /// <summary>The position of the next intact batch; -1 when there is none.</summary>
    /// <param name="from">Where no batch can be read.</param>
    /// <param name="minOffset">No batch behind it begins before this offset.</param>
    /// <param name="endOffset">No batch here ends after this offset.</param>
    /// <exception cref="LogException">The search was given up.</exception>
    public long FindNext(long from, long minOffset, long endOffset)
    {
        _toCheck = (MaxChecks * (end - from)) + WindowBytes;
        Span<byte> headerBytes = stackalloc byte[RecordBatchHeader.Size];
        if (file.Read(from, headerBytes) == headerBytes.Length)
        {
            // Its length and its offsets are right if they agree with a batch behind it.
            var damaged = new RecordBatchHeader(headerBytes);
            long behind = from + RecordBatchHeader.LogOverhead + damaged.Length;
            if (behind > from && IsIntact(behind, minOffset, endOffset) && StoredBatches.BaseOffsetAt(file, behind) == damaged.NextOffset)
                return behind;
        }

        byte[] window = ArrayPool<byte>.Shared.Rent(WindowBytes);
        try
        {
            for (long at = from + 1; at + RecordBatchHeader.Size <= end; at += window.Length - RecordBatchHeader.Size + 1)
            {
                int read = file.Read(at, window);
                for (int i = 0; i + RecordBatchHeader.Size <= read; i++)
                {
                    if (StoredBatches.IsPlausible(new RecordBatchHeader(window.AsSpan(i)), end - at - i, minOffset, endOffset)
                        && IsIntact(at + i, minOffset, endOffset))
                    {
                        return at + i;
                    }
                }
            }

            return -1;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(window);
        }
    }

    /// <summary>Whether a batch begins at a position that is intact as far as its CRC goes.</summary>
    public bool IsIntact(long position, long minOffset, long endOffset)
    {
        Span<byte> headerBytes = stackalloc byte[RecordBatchHeader.Size];
        if (position + RecordBatchHeader.Size > end || file.Read(position, headerBytes) != headerBytes.Length)
            return false;

        var header = new RecordBatchHeader(headerBytes);
        if (!StoredBatches.IsPlausible(header, end - position, minOffset, endOffset))
            return false;

        int size = header.SizeInBytes;
        _toCheck -= size;
        if (_toCheck < 0)
        {
            throw new LogException(
                $"{file.Path} is damaged, and so much in it looks like batches that the intact ones cannot be found. Restore it from a "
                + "copy, or move it away: the log then opens without its records.");
        }

        byte[] batch = ArrayPool<byte>.Shared.Rent(size);
        try
        {
            return file.Read(position, batch.AsSpan(0, size)) == size && RecordBatches.Validate(batch.AsSpan(0, size)).IsOk;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(batch);
        }
    }
}
