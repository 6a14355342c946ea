using System.Buffers;

namespace Arus.Storage;

/// <summary>Reads the batches of a stretch of a segment one after the other, in large reads. Not thread-safe.</summary>
/// <param name="end">No byte at or after it is read.</param>
internal sealed class SegmentScanner(SharedFile file, long position, long end) : IDisposable
{
    private const int BufferSize = 256 * 1024;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
    private long _bufferAt = position;
    private int _start;
    private int _filled;
    private long _nextOffset;

    /// <summary>Takes the next batch; its contents are not checked. False at the end, and at bytes that are no whole batch.</summary>
    /// <param name="batch">Valid until the next call, as its header is.</param>
    public bool TryNext(out RecordBatchHeader header, out ReadOnlyMemory<byte> batch)
    {
        header = default;
        while (true)
        {
            ReadOnlyMemory<byte> rest = _buffer.AsMemory(_start, _filled - _start);
            BatchReadStatus status = RecordBatches.TryReadNext(ref rest, RecordBatches.MaxSizeLimit, out batch, out _);
            if (status == BatchReadStatus.Batch)
            {
                _start += batch.Length;
                header = new RecordBatchHeader(batch.Span);
                return true;
            }

            if (status == BatchReadStatus.Invalid || !Fill())
                return false;
        }
    }

    /// <summary>As <see cref="TryNext"/>, where every batch was valid once; false at the end only.</summary>
    /// <exception cref="LogException">A batch is damaged, with <see cref="ErrorCode.CorruptMessage"/>.</exception>
    public bool ReadNext(out RecordBatchHeader header, out ReadOnlyMemory<byte> batch)
    {
        long position = _bufferAt + _start;
        if (TryNext(out header, out batch) && header.BaseOffset >= _nextOffset && RecordBatches.Validate(batch.Span).IsOk)
        {
            _nextOffset = header.NextOffset;
            return true;
        }

        return position < end ? throw StoredBatches.Damaged(file.Path, position, _nextOffset) : false;
    }

    public void Dispose()
    {
        byte[] buffer = _buffer;
        _buffer = [];
        if (buffer.Length > 0)
            ArrayPool<byte>.Shared.Return(buffer);
    }

    /// <summary>Reads more behind what is left; false when there is no more, or no whole batch can come of it.</summary>
    private bool Fill()
    {
        int left = _filled - _start;
        long available = end - _bufferAt - _filled;
        if (available <= 0)
            return false;

        int wanted = BufferSize;
        if (left >= RecordBatchHeader.Size)
        {
            // A whole batch must fit; its length was looked at, so it is not absurd for the file only if the file holds as much.
            int size = new RecordBatchHeader(_buffer.AsSpan(_start, RecordBatchHeader.Size)).SizeInBytes;
            if (size - left > available)
                return false;

            wanted = Math.Max(wanted, size);
        }

        byte[] target = _buffer.Length >= wanted ? _buffer : ArrayPool<byte>.Shared.Rent(wanted);
        Buffer.BlockCopy(_buffer, _start, target, 0, left);
        if (target != _buffer)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = target;
        }

        _bufferAt += _start;
        (_start, _filled) = (0, left);
        int read = file.Read(_bufferAt + left, _buffer.AsSpan(left, (int)Math.Min(_buffer.Length - left, available)));
        _filled += read;
        return read > 0;
    }
}
