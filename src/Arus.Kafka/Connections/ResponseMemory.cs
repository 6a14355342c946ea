namespace Arus.Kafka;

/// <summary>
/// The budget of memory for the records of responses that clients have not taken yet (<c>arus.response.max.queued.bytes</c>). While it is
/// spent fetches answer little, and no fetch waits for it: a client that takes nothing must not keep others from reading. Thread-safe.
/// </summary>
internal sealed class ResponseMemory(KafkaListenerOptions options)
{
    /// <summary>What a fetch may take, in bytes, when the budget is spent.</summary>
    internal const int MinGrant = 128 * 1024;

    private long _used;

    public long UsedBytes => Volatile.Read(ref _used);

    /// <summary>Takes what is free of the wanted bytes, or <see cref="MinGrant"/> of them if that is more.</summary>
    /// <returns>The bytes taken, for <see cref="Release"/>.</returns>
    public long Take(long wanted)
    {
        long granted = Math.Min(wanted, Math.Max(MinGrant, options.MaxQueuedResponseBytes - UsedBytes));
        Interlocked.Add(ref _used, granted);
        return granted;
    }

    /// <param name="bytes">Negative when more was used than granted: a first batch is read as a whole.</param>
    public void Release(long bytes) => Interlocked.Add(ref _used, -bytes);
}
