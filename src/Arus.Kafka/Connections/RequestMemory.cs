using System.Buffers;

namespace Arus.Kafka;

/// <summary>
/// The budget of memory for large requests in the process (<c>queued.max.request.bytes</c>). While it is spent, connections wait in
/// FIFO order. Thread-safe.
/// </summary>
internal sealed class RequestMemory(KafkaListenerOptions options)
{
    /// <summary>Smaller requests are not counted: the limits of connections and of requests in flight bound them already.</summary>
    public const int SmallRequest = 16 * 1024;

    private readonly ByteBudget _budget = new(options.MaxQueuedBytes, TimeProvider.System);

    public long UsedBytes => _budget.Used;

    /// <summary>Takes bytes from the budget when they are free. A request larger than the budget is admitted alone.</summary>
    public Task ReserveAsync(long bytes) => _budget.TakeAsync(bytes);

    public void Release(long bytes) => _budget.Release(bytes);
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
    /// Of <paramref name="length"/> bytes; from a pool if <paramref name="pooled"/>, and then no part of it may be kept.
    /// </summary>
    /// <param name="budget">What was reserved, if so.</param>
    public static RequestFrame Create(int length, bool pooled, RequestMemory? budget) => new(
        pooled ? ArrayPool<byte>.Shared.Rent(length) : GC.AllocateUninitializedArray<byte>(length), length, pooled, budget);

    public Span<byte> WritableSpan => _array.AsSpan(0, Length);

    public void Release()
    {
        if (Interlocked.Exchange(ref _released, 1) != 0)
            return;

        _budget?.Release(Length);
        if (_pooled && !Abandoned)
        {
            ArrayPool<byte>.Shared.Return(_array);
            _array = [];
        }
    }
}
