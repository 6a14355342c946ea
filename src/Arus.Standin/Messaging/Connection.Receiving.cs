using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Orleans.Serialization;

namespace Orleans.Runtime;

internal sealed partial class Connection
{
    private const int ReadBufferSize = 128 * 1024;

    /// <summary>From this length on a frame has an array of its own, which payloads may keep slices of.</summary>
    private const int OwnArrayThreshold = 8 * 1024;

    private async Task RunAsync()
    {
        Exception reason;
        try
        {
            await ReceiveAsync();
            reason = new EndOfStreamException("The other end closed the connection.");
        }
        catch (Exception exception)
        {
            reason = exception;
        }

        Close(reason);
    }

    private async Task ReceiveAsync()
    {
        var reader = new WireReader();
        while (true)
        {
            ReadResult read = await _input.ReadAsync(_closing.Token);
            ReadOnlySequence<byte> buffer = read.Buffer;
            while (TryReadLength(buffer, out int length))
            {
                if (length < OwnArrayThreshold)
                {
                    if (buffer.Length < Frame.LengthSize + length)
                    {
                        break;
                    }

                    Handle(reader, buffer.Slice(Frame.LengthSize, length));
                    buffer = buffer.Slice(Frame.LengthSize + length);
                }
                else
                {
                    byte[] frame = await ReadLargeAsync(buffer.Slice(Frame.LengthSize), length);
                    reader.Reset(frame, 0, length, sliceable: true);
                    _handler.OnFrame(this, reader.ReadByte(), reader);
                    read = await _input.ReadAsync(_closing.Token);
                    buffer = read.Buffer;
                }
            }

            _input.AdvanceTo(buffer.Start, buffer.End);
            if (read.IsCompleted)
            {
                return;
            }
        }
    }

    private void Handle(WireReader reader, ReadOnlySequence<byte> frame)
    {
        if (frame.IsSingleSegment)
        {
            reader.Reset(frame.First, sliceable: false);
            _handler.OnFrame(this, reader.ReadByte(), reader);
            return;
        }

        int length = (int)frame.Length;
        byte[] whole = ArrayPool<byte>.Shared.Rent(length);
        frame.CopyTo(whole);
        reader.Reset(whole, 0, length, sliceable: false);
        _handler.OnFrame(this, reader.ReadByte(), reader);
        ArrayPool<byte>.Shared.Return(whole);
    }

    /// <summary>Gathers a frame as it arrives; on return, all up to its end has been consumed.</summary>
    private async ValueTask<byte[]> ReadLargeAsync(ReadOnlySequence<byte> buffer, int length)
    {
        byte[] frame = GC.AllocateUninitializedArray<byte>(length);
        int filled = 0;
        while (true)
        {
            ReadOnlySequence<byte> part = buffer.Length > length - filled ? buffer.Slice(0, length - filled) : buffer;
            part.CopyTo(frame.AsSpan(filled));
            filled += (int)part.Length;
            _input.AdvanceTo(part.End);
            if (filled == length)
            {
                return frame;
            }

            ReadResult read = await _input.ReadAsync(_closing.Token);
            buffer = read.Buffer;
            if (read.IsCompleted && buffer.IsEmpty)
            {
                throw new EndOfStreamException("The connection ended in the middle of a message.");
            }
        }
    }

    private bool TryReadLength(ReadOnlySequence<byte> buffer, out int length)
    {
        length = 0;
        if (buffer.Length < Frame.LengthSize)
        {
            return false;
        }

        Span<byte> prefix = stackalloc byte[Frame.LengthSize];
        buffer.Slice(0, Frame.LengthSize).CopyTo(prefix);
        length = BinaryPrimitives.ReadInt32LittleEndian(prefix);
        int limit = IsGreeted ? _maxFrame : Frame.MaxHelloLength;
        return length > 0 && length <= limit
            ? true
            : throw new InvalidDataException($"A message announces {length:N0} bytes; 1 to {limit:N0} are accepted.");
    }
}
