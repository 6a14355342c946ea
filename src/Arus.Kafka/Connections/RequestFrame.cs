using System.Buffers;
using System.Diagnostics;

namespace Arus.Kafka;

/// <summary>
/// The bytes of one request, without the size before them. Its owner is the connection, which fills it; <see cref="Release"/> ends it.
/// </summary>
/// <param name="length">Of the whole request, in bytes.</param>
/// <param name="pooled">Whether the buffer is used again, if the request is large: then no part of it may be kept.</param>
/// <param name="memory">What the memory is taken from; null for a small request, which is not counted.</param>
internal sealed class RequestFrame(int length, bool pooled, RequestMemory? memory)
{
    /// <summary>The least memory that a request takes from the budget, unless it is smaller.</summary>
    internal const int FirstStep = 8 * RequestMemory.SmallRequest;

    /// <summary>
    /// How much larger each step is than the one before. A request of 1 MiB, the usual limit of producers, is copied once more for an
    /// eighth; and a client must send an eighth of what it makes the broker reserve.
    /// </summary>
    private const int StepFactor = 8;

    private byte[] _array = [];
    private int _filled;
    private long _reserved;
    private bool _isOverdrawn;
    private int _released;

    public int Length => length;

    public bool IsFilled => _filled == length;

    public ReadOnlyMemory<byte> Memory => _array.AsMemory(0, length);

    /// <summary>
    /// Set when a call that was given this memory did not end properly and may still read it: then it is never used again.
    /// </summary>
    public bool Abandoned { get; set; }

    /// <summary>
    /// Takes the request's next bytes, those of the next one excluded, once there is memory for them: it is reserved in steps, as bytes
    /// come.
    /// </summary>
    /// <returns>The end of what was taken.</returns>
    /// <exception cref="OperationCanceledException">The token was cancelled while the request waited for memory.</exception>
    public async ValueTask<SequencePosition> FillAsync(ReadOnlySequence<byte> bytes, CancellationToken closed)
    {
        ReadOnlySequence<byte> part = bytes.Slice(0, Math.Min(bytes.Length, length - _filled));
        int needed = _filled + (int)part.Length;
        if (needed > _array.Length)
            await GrowAsync(CapacityFor(needed), closed);

        part.CopyTo(_array.AsSpan(_filled));
        _filled = needed;
        return part.End;
    }

    public void Release()
    {
        if (Interlocked.Exchange(ref _released, 1) != 0)
            return;

        if (!Abandoned)
            Return(_array);

        memory?.Release(_reserved);
        if (_isOverdrawn)
            memory!.ReleaseOverdraft();
    }

    private int CapacityFor(int needed)
    {
        if (memory is null)
            return length;

        long capacity = FirstStep;
        while (capacity < needed)
            capacity *= StepFactor;

        return (int)Math.Min(capacity, length);
    }

    private async ValueTask GrowAsync(int capacity, CancellationToken closed)
    {
        Debug.Assert(_released == 0, "A request is filled before it is released.");
        if (memory is not null && !_isOverdrawn)
        {
            long more = capacity - _reserved;
            _isOverdrawn = !await memory.ReserveAsync(more, closed);
            _reserved += _isOverdrawn ? 0 : more;
        }

        byte[] smaller = _array;
        _array = pooled && memory is not null ? memory.Buffers.Rent(capacity) : GC.AllocateUninitializedArray<byte>(capacity);
        smaller.AsSpan(0, _filled).CopyTo(_array);
        Return(smaller);
    }

    private void Return(byte[] array)
    {
        if (pooled && memory is not null && array.Length > 0)
            memory.Buffers.Return(array);
    }
}
