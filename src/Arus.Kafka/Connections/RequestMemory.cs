using System.Buffers;

namespace Arus.Kafka;

/// <summary>
/// Memory for requests. Small ones are plain arrays. Large ones count against one budget for the process
/// (<c>queued.max.request.bytes</c>); while it is spent, connections wait, in the order in which they came. Safe for use by any thread.
/// </summary>
internal sealed class RequestMemory(KafkaListenerOptions options)
{
    /// <summary>Up to here a request costs nothing of the budget: connections times requests in flight bound it already.</summary>
    public const int SmallRequest = 16 * 1024;

    private readonly Lock _lock = new();
    private readonly Queue<(long Bytes, TaskCompletionSource Granted)> _waiting = new();
    private long _used;

    public long UsedBytes
    {
        get
        {
            lock (_lock)
            {
                return _used;
            }
        }
    }

    /// <summary>
    /// Takes <paramref name="bytes"/> from the budget, once they are free. A request larger than the whole budget is let through alone.
    /// </summary>
    public ValueTask ReserveAsync(long bytes)
    {
        lock (_lock)
        {
            if (_waiting.Count == 0 && Fits(bytes))
            {
                _used += bytes;
                return ValueTask.CompletedTask;
            }

            var granted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting.Enqueue((bytes, granted));
            return new ValueTask(granted.Task);
        }
    }

    public void Release(long bytes)
    {
        lock (_lock)
        {
            _used -= bytes;
            while (_waiting.TryPeek(out (long Bytes, TaskCompletionSource Granted) next) && Fits(next.Bytes))
            {
                _used += next.Bytes;
                _waiting.Dequeue().Granted.SetResult();
            }
        }
    }

    private bool Fits(long bytes) => _used == 0 || _used + bytes <= options.MaxQueuedBytes;
}

/// <summary>
/// The bytes of one request, without the length before them. Its owner is the connection; <see cref="Release"/> ends it.
/// </summary>
internal sealed class RequestFrame
{
    private readonly RequestMemory? _budget;
    private readonly bool _pooled;
    private byte[] _array;
    private int _released;

    private RequestFrame(byte[] array, int length, bool pooled, RequestMemory? budget)
    {
        _array = array;
        Length = length;
        _pooled = pooled;
        _budget = budget;
    }

    public int Length { get; }

    public ReadOnlyMemory<byte> Memory => _array.AsMemory(0, Length);

    /// <summary>
    /// Set when a call that was given this memory did not end properly and may still read it: then it is never used again.
    /// </summary>
    public bool Abandoned { get; set; }

    /// <summary>
    /// Of <paramref name="length"/> bytes; from a pool if <paramref name="pooled"/>, and then nobody may keep a part of it.
    /// </summary>
    /// <param name="budget">What was reserved, if so.</param>
    public static RequestFrame Create(int length, bool pooled, RequestMemory? budget) => new(
        pooled ? ArrayPool<byte>.Shared.Rent(length) : GC.AllocateUninitializedArray<byte>(length), length, pooled, budget);

    public Span<byte> WritableSpan => _array.AsSpan(0, Length);

    public void Release()
    {
        if (Interlocked.Exchange(ref _released, 1) != 0)
        {
            return;
        }

        _budget?.Release(Length);
        if (_pooled && !Abandoned)
        {
            ArrayPool<byte>.Shared.Return(_array);
            _array = [];
        }
    }
}
