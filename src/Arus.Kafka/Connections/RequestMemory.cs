namespace Arus.Kafka;

/// <summary>
/// The budget of memory for large requests in the process (<c>queued.max.request.bytes</c>). While it is spent, requests wait in FIFO
/// order. Thread-safe.
/// </summary>
internal sealed class RequestMemory(KafkaListenerOptions options)
{
    /// <summary>Smaller requests are not counted: the limits of connections and of requests in flight bound them already.</summary>
    public const int SmallRequest = 16 * 1024;

    private readonly ByteBudget _budget = new(options.MaxQueuedBytes, TimeProvider.System);

    /// <summary>
    /// Requests that are read in part hold memory while they wait for more, and would wait for each other for ever. So one at a time may
    /// exceed the budget, by no more than the largest request.
    /// </summary>
    private readonly SemaphoreSlim _overdraft = new(1, 1);

    public RequestBuffers Buffers { get; } = new();

    /// <summary>The bytes that are taken from the budget.</summary>
    public long UsedBytes => _budget.Used;

    /// <summary>Takes bytes from the budget when they are free, or the overdraft, whichever comes first.</summary>
    /// <returns>
    /// True for bytes of the budget, for <see cref="Release"/>. False for the overdraft, which covers all that the request takes from then
    /// on, until <see cref="ReleaseOverdraft"/>.
    /// </returns>
    /// <exception cref="OperationCanceledException">The token was cancelled; nothing was taken.</exception>
    public ValueTask<bool> ReserveAsync(long bytes, CancellationToken cancellationToken) =>
        _budget.TryTake(bytes) ? new ValueTask<bool>(true) : WaitAsync(bytes, cancellationToken);

    public void Release(long bytes) => _budget.Release(bytes);

    public void ReleaseOverdraft() => _overdraft.Release();

    private async ValueTask<bool> WaitAsync(long bytes, CancellationToken cancellationToken)
    {
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task taken = _budget.TakeAsync(bytes, cancellationToken: enough.Token);
        Task overdrawn = _overdraft.WaitAsync(enough.Token);
        await Task.WhenAny(taken, overdrawn).ConfigureAwait(false);
        await enough.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(taken, overdrawn).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (taken.IsCompletedSuccessfully && overdrawn.IsCompletedSuccessfully)
            ReleaseOverdraft();

        return taken.IsCompletedSuccessfully
            || (overdrawn.IsCompletedSuccessfully ? false : throw new OperationCanceledException(cancellationToken));
    }
}
